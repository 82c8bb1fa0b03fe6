mod hostile;
mod opening;
mod reconnect;
mod talking;
mod urls;
