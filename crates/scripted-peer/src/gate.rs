//! A gate at which answers park, so that a test waits for events and never for time.

use std::sync::Arc;

use tokio::sync::watch;

use crate::patience;

/// Holds answers back until the test lets them go on. Clones are the same gate.
///
/// ```
/// # use scripted_peer::{Answer, Gate, Representation, ScriptedPeer};
/// # async fn example() {
/// let peer = ScriptedPeer::start().await;
/// peer.serve("/file", Representation::seeded(1, 1_000_000));
/// let gate = Gate::closed();
/// peer.script("/file", [Answer::hold_at(4096, &gate)]);
/// // … start the client …
/// gate.parked(1).await; // it has been sent 4096 bytes and waits for the rest
/// gate.release();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Gate {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug)]
struct State {
    open: bool,
    parked: usize,
}

impl Gate {
    /// A gate that holds everything that comes to it.
    pub fn closed() -> Self {
        Self { state: Arc::new(watch::Sender::new(State { open: false, parked: 0 })) }
    }

    /// Lets everything pass that is parked, and everything that comes later.
    pub fn release(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Closes a released gate again. What has passed, has passed.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.open = false);
    }

    /// Waits until at least `answers` are parked here at the same time.
    ///
    /// # Panics
    /// After a minute without.
    ///
    /// # Cancel safety
    /// Safe: it only looks.
    pub async fn parked(&self, answers: usize) {
        let mut watched = self.state.subscribe();
        let arrived = watched.wait_for(|state| state.parked >= answers);
        let Some(result) = patience(arrived).await else {
            let parked = self.state.borrow().parked;
            panic!("waited in vain for {answers} answers at the gate; {parked} are parked");
        };
        result.expect("self keeps the sender alive");
    }

    /// Parks the caller while the gate is closed. A caller that is dropped is parked no longer.
    pub(crate) async fn pass(&self) {
        let mut watched = self.state.subscribe();
        if watched.borrow().open {
            return;
        }
        let _parked = Parked::at(self);
        watched.wait_for(|state| state.open).await.expect("self keeps the sender alive");
    }
}

/// One parked answer; dropping it takes it off the count.
struct Parked<'gate>(&'gate Gate);

impl<'gate> Parked<'gate> {
    fn at(gate: &'gate Gate) -> Self {
        gate.state.send_modify(|state| state.parked += 1);
        Self(gate)
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.parked -= 1);
    }
}
