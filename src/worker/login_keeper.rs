//! The Durable Object class of the login's owner.
#![expect(missing_docs, reason = "the functions that the host calls are written by the macro")]

use worker::{DurableObject, Env, Request, Response, State, durable_object, wasm_bindgen};

use crate::credentials::edge::owner::Keeper;
use crate::credentials::edge::revision::{Answer, Edition, Outcome};
use crate::worker::settings::Settings;
use crate::worker::{client, issuer, log};

/// The Durable Object that owns the login.
#[durable_object(fetch)]
pub struct LoginKeeper {
    keeper: Result<Keeper, String>,
}

impl DurableObject for LoginKeeper {
    fn new(state: State, env: Env) -> Self {
        let keeper = Settings::from_environment(&env).and_then(|settings| {
            log::start(settings.log_level);
            let issuer = issuer(&settings, &client()?);
            Keeper::new(&state, &env, issuer).map_err(|error| error.to_string())
        });
        Self { keeper }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let order = request.json().await?;
        let answer = match &self.keeper {
            Ok(keeper) => keeper.answer(order).await,
            Err(problem) => Answer { edition: Edition::default(), outcome: Outcome::Failed(problem.clone()) },
        };
        Response::from_json(&answer)
    }
}
