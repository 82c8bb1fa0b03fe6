//! Bring your own transport: the same endpoints over the transport of this crate, over a closure, and
//! over `reqwest`.

#[path = "../../examples/reqwest_transport.rs"]
mod reqwest_transport;
mod stored;
mod suite;
mod world;

use tower_openai::transport::HyperTransport;

use crate::world::{Closure, Loopback};

/// Every test of the suite over one transport.
macro_rules! over {
    ($name:ident: |$world:ident: $World:ty| $transport:expr) => {
        mod $name {
            use super::*;

            over! { @ suite |$world: $World| $transport,
                responses_are_read_to_their_end,
                responses_are_read_as_they_come,
                responses_that_are_refused_say_why,
                responses_that_are_cut_say_so,
                compaction_works_and_fails,
                memories_work_and_fail,
                models_work_and_fail,
                the_public_list_works_and_fails,
                search_works_and_fails,
                request_bodies_stream,
                a_server_that_is_not_there_is_told,
            }

            over! { @ stored |$world: $World| $transport,
                responses_are_kept,
                conversations_are_kept,
                images_are_made,
                a_call_is_begun,
                a_file_goes_up_in_three_steps,
                public_files_are_kept,
                a_file_that_cannot_be_sent_is_tried_once,
            }
        }
    };
    (@ $suite:ident |$world:ident: $World:ty| $transport:expr, $($test:ident,)+) => {$(
        #[tokio::test]
        async fn $test() {
            let $world = <$World>::new().await;
            let transport = $transport;
            $suite::$test(&$world, transport).await;
        }
    )+};
}

over!(hyper: |world: Loopback| HyperTransport::new().unwrap());
over!(closure: |world: Closure| world.service());
over!(reqwest: |world: Loopback| {
    reqwest_transport::transport(reqwest_transport::client().unwrap())
});

#[test]
fn the_example_runs() {
    reqwest_transport::main().unwrap();
}
