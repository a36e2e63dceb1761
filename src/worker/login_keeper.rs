//! The Durable Object class of the login's owner, and of the owner of the counts of keys.
//!
//! * The two are objects of their own, with names of their own. They share a class because a deployed Worker has it: a new
//!   one would need a migration.
#![expect(missing_docs, reason = "the functions that the host calls are written by the macro")]

use std::cell::OnceCell;

use worker::{DurableObject, Env, Request, Response, State, durable_object, wasm_bindgen};

use crate::credentials::edge::owner::LoginOwner;
use crate::credentials::edge::revision::{OrderOutcome, OwnerReply, Revision};
use crate::server::quota::owner::QuotaReply;
use crate::worker::quota_client::QUOTA_PATH;
use crate::worker::quota_keeper::QuotaKeeper;
use crate::worker::settings::WorkerSettings;
use crate::worker::{client, issuer, log};

/// The Durable Object that owns the login, or the counts.
#[durable_object(fetch)]
pub struct LoginKeeper {
    owner: Result<LoginOwner, String>,
    state: State,
    /// Read with the first order about it.
    quota: OnceCell<Result<QuotaKeeper, String>>,
}

impl DurableObject for LoginKeeper {
    fn new(state: State, env: Env) -> Self {
        let owner = WorkerSettings::from_environment(&env).and_then(|settings| {
            log::start(settings.log_level);
            let issuer = issuer(&settings, &client()?);
            LoginOwner::new(&state, &env, issuer).map_err(|error| error.to_string())
        });
        Self { owner, state, quota: OnceCell::new() }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if request.path() == QUOTA_PATH {
            return Response::from_json(&self.count(&mut request).await?);
        }
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

impl LoginKeeper {
    async fn count(&self, request: &mut Request) -> worker::Result<QuotaReply> {
        let order = request.json().await?;
        let open = || QuotaKeeper::open(self.state.storage().sql()).map_err(|error| error.to_string());
        Ok(match self.quota.get_or_init(open) {
            Ok(quota) => quota.answer(order),
            Err(problem) => QuotaReply::Failed(problem.clone()),
        })
    }
}
