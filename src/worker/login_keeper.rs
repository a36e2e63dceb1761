//! The Durable Object class of the login's owner.
#![expect(missing_docs, reason = "the functions that the host calls are written by the macro")]

use worker::{DurableObject, Env, Request, Response, State, durable_object, wasm_bindgen};

use crate::credentials::edge::owner::LoginOwner;
use crate::credentials::edge::revision::{OrderOutcome, OwnerReply, Revision};
use crate::worker::settings::WorkerSettings;
use crate::worker::{client, issuer, log};

/// The Durable Object that owns the login.
#[durable_object(fetch)]
pub struct LoginKeeper {
    owner: Result<LoginOwner, String>,
}

impl DurableObject for LoginKeeper {
    fn new(state: State, env: Env) -> Self {
        let owner = WorkerSettings::from_environment(&env).and_then(|settings| {
            log::start(settings.log_level);
            let issuer = issuer(&settings, &client()?);
            LoginOwner::new(&state, &env, issuer).map_err(|error| error.to_string())
        });
        Self { owner }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let order = request.json().await?;
        let answer = match &self.owner {
            Ok(owner) => owner.answer(order).await,
            Err(problem) => {
                OwnerReply { revision: Revision::default(), outcome: OrderOutcome::Failed(problem.clone()) }
            }
        };
        Response::from_json(&answer)
    }
}
