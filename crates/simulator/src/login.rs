//! Logins and the state of their tokens.
//!
//! * A *chain* is one login: all tokens that descend from one sign-in.
//! * A refresh token works once. By default, its reuse ends the whole chain: its refresh token is revoked and its
//!   access tokens are invalidated.
//! * Times are Unix seconds by the simulator's own clock, which tests may move.

use std::collections::HashMap;

use crate::account::Account;
use crate::jwt;

/// A login to issue. Lifetimes are seconds from now; a negative one gives an expired token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedLogin {
    /// The account.
    pub account: Account,
    /// The lifetime of the chain's access tokens.
    pub access_lifetime: i64,
    /// The lifetime of the first access token, if different.
    pub first_access_lifetime: Option<i64>,
    /// The lifetime of id tokens.
    pub id_lifetime: i64,
}

impl Default for SimulatedLogin {
    fn default() -> Self {
        Self { account: Account::default(), access_lifetime: TEN_DAYS, first_access_lifetime: None, id_lifetime: HOUR }
    }
}

impl SimulatedLogin {
    /// Makes the first access token expire in `seconds`; those of a refresh have the usual lifetime.
    #[must_use]
    pub fn expiring_in(mut self, seconds: i64) -> Self {
        self.first_access_lifetime = Some(seconds);
        self
    }

    /// Puts the account on `plan`.
    #[must_use]
    pub fn on_plan(mut self, plan: &str) -> Self {
        self.account.plan = plan.to_owned();
        self
    }

    /// Uses another account id.
    #[must_use]
    pub fn for_account(mut self, account_id: &str) -> Self {
        self.account.account_id = account_id.to_owned();
        self
    }

    /// Makes the workspace a FedRAMP one.
    #[must_use]
    pub fn fedramp(mut self) -> Self {
        self.account.fedramp = true;
        self
    }
}

/// The three tokens of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) id: String,
    pub(super) access: String,
    pub(super) refresh: String,
}

/// The reason that a refresh token was not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshRejection {
    Empty,
    Expired,
    Reused,
    Invalidated,
}

/// The reason that an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessRejection {
    Unknown,
    Expired,
    Invalidated,
}

/// The issuer's records.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    chains: Vec<Chain>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    minted: u64,
}

#[derive(Debug)]
struct Chain {
    login: SimulatedLogin,
    revoked: bool,
}

#[derive(Debug)]
struct AccessToken {
    chain: usize,
    expires_at: i64,
    invalidated: bool,
}

#[derive(Debug)]
struct RefreshToken {
    chain: usize,
    state: RefreshState,
}

#[derive(Debug, PartialEq, Eq)]
enum RefreshState {
    Fresh,
    Used,
    Expired,
    Invalidated,
}

impl Ledger {
    /// Starts a chain and issues its first tokens. `seed` separates the tokens of two simulators.
    pub(super) fn sign_in(&mut self, login: SimulatedLogin, now: i64, seed: &str) -> Tokens {
        let lifetime = login.first_access_lifetime.unwrap_or(login.access_lifetime);
        self.chains.push(Chain { login, revoked: false });
        self.mint(self.chains.len() - 1, lifetime, now, seed)
    }

    /// Exchanges a refresh token, which is spent unless it is to `stay`: a second exchange is refused.
    pub(super) fn exchange(
        &mut self,
        token: &str,
        stay: bool,
        now: i64,
        seed: &str,
    ) -> Result<Tokens, RefreshRejection> {
        if token.is_empty() {
            return Err(RefreshRejection::Empty);
        }
        let entry = self.refresh.get_mut(token).ok_or(RefreshRejection::Invalidated)?;
        let chain = entry.chain;
        match entry.state {
            RefreshState::Used => return Err(RefreshRejection::Reused),
            RefreshState::Expired => return Err(RefreshRejection::Expired),
            RefreshState::Invalidated => return Err(RefreshRejection::Invalidated),
            RefreshState::Fresh if self.chains[chain].revoked => return Err(RefreshRejection::Invalidated),
            RefreshState::Fresh if stay => {}
            RefreshState::Fresh => entry.state = RefreshState::Used,
        }
        let lifetime = self.chains[chain].login.access_lifetime;
        Ok(self.mint(chain, lifetime, now, seed))
    }

    /// Returns the account of an access token that is valid at `now`.
    pub(super) fn account(&self, access_token: &str, now: i64) -> Result<&Account, AccessRejection> {
        let token = self.access.get(access_token).ok_or(AccessRejection::Unknown)?;
        let chain = &self.chains[token.chain];
        if token.invalidated || chain.revoked {
            return Err(AccessRejection::Invalidated);
        }
        if token.expires_at <= now {
            return Err(AccessRejection::Expired);
        }
        Ok(&chain.login.account)
    }

    /// Revokes the chain of `token`, of either kind. Unknown tokens are ignored.
    pub(super) fn revoke(&mut self, token: &str) {
        let chain = self.refresh.get(token).map(|entry| entry.chain);
        let chain = chain.or_else(|| self.access.get(token).map(|entry| entry.chain));
        if let Some(chain) = chain {
            self.revoke_chain(chain);
        }
    }

    /// Expires every access token issued so far, whatever its claims say.
    pub(super) fn expire_access(&mut self) {
        self.access.values_mut().for_each(|token| token.expires_at = i64::MIN);
    }

    /// Invalidates every access token issued so far.
    pub(super) fn invalidate_access(&mut self) {
        self.access.values_mut().for_each(|token| token.invalidated = true);
    }

    /// Expires every unused refresh token issued so far.
    pub(super) fn expire_refresh(&mut self) {
        self.set_fresh(|| RefreshState::Expired);
    }

    /// Revokes every unused refresh token issued so far.
    pub(super) fn invalidate_refresh(&mut self) {
        self.set_fresh(|| RefreshState::Invalidated);
    }

    /// Returns whether `token` is a refresh token that still works.
    pub(super) fn is_fresh(&self, token: &str) -> bool {
        self.refresh
            .get(token)
            .is_some_and(|entry| entry.state == RefreshState::Fresh && !self.chains[entry.chain].revoked)
    }

    /// Returns the number of revoked chains.
    pub(super) fn revoked_chains(&self) -> u64 {
        self.chains.iter().filter(|chain| chain.revoked).count() as u64
    }

    fn set_fresh(&mut self, state: impl Fn() -> RefreshState) {
        self.refresh
            .values_mut()
            .filter(|token| token.state == RefreshState::Fresh)
            .for_each(|token| token.state = state());
    }

    fn revoke_chain(&mut self, chain: usize) {
        self.chains[chain].revoked = true;
    }

    fn mint(&mut self, chain: usize, access_lifetime: i64, now: i64, seed: &str) -> Tokens {
        self.minted += 1;
        let name = format!("{seed}-{}", self.minted);
        let login = &self.chains[chain].login;
        let token = |lifetime: i64, kind: &str| {
            jwt::claims(&login.account, now, now.saturating_add(lifetime), &format!("{kind}-{name}"))
        };
        let tokens = Tokens {
            id: jwt::encode(token(login.id_lifetime, "id"), CLIENT_ID),
            access: jwt::encode(token(access_lifetime, "at"), "https://api.openai.com/v1"),
            refresh: format!("rt_simulated_{name}"),
        };
        let expires_at = now.saturating_add(access_lifetime);
        self.access.insert(tokens.access.clone(), AccessToken { chain, expires_at, invalidated: false });
        self.refresh.insert(tokens.refresh.clone(), RefreshToken { chain, state: RefreshState::Fresh });
        tokens
    }
}

/// The only OAuth client that the issuer accepts.
pub const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

const HOUR: i64 = 3600;
const TEN_DAYS: i64 = 10 * 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_exchange_is_refused_and_a_revoked_chain_is_dead() {
        let mut ledger = Ledger::default();
        let first = ledger.sign_in(SimulatedLogin::default(), 0, "s");
        let second = ledger.exchange(&first.refresh, false, 1, "s").unwrap();
        assert!(ledger.account(&second.access, 2).is_ok());
        assert_eq!(ledger.exchange(&first.refresh, false, 2, "s"), Err(RefreshRejection::Reused));
        ledger.revoke(&first.refresh);
        assert_eq!(ledger.exchange(&second.refresh, false, 3, "s"), Err(RefreshRejection::Invalidated));
        assert_eq!(ledger.account(&second.access, 3), Err(AccessRejection::Invalidated));
    }

    #[test]
    fn chains_are_independent() {
        let mut ledger = Ledger::default();
        let one = ledger.sign_in(SimulatedLogin::default(), 0, "s");
        let two = ledger.sign_in(SimulatedLogin::default().expiring_in(-5), 0, "s");
        ledger.revoke(&one.refresh);
        assert_eq!(ledger.account(&two.access, 0), Err(AccessRejection::Expired));
        assert!(ledger.is_fresh(&two.refresh) && !ledger.is_fresh(&one.refresh));
    }
}
