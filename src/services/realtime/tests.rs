mod opening;
mod reconnect;
mod talking;
