//! What the page shows, gathered when somebody looks.
//!
//! * All who look within [`FRESH`] share one reading and one rendering; nobody looking costs nothing.
//! * The ledger is read on a thread that serves no connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use crate::credentials::{CredentialError, TokenSupplier};
use crate::ledger::summary::{Grouping, LedgerError, LedgerReader};
use crate::ledger::{Ledger, LedgerPlace};
use crate::limits::PlanLimits;
use crate::models::Models;
use crate::page::view::{Guides, LedgerRows, LedgerView, LoginView, ModelsView, PagePart, PageView};
use crate::platform::{Instant, apart, unix_now};
use crate::server::App;
use crate::server::page::session::Sessions;
use crate::server::settings::ServerMode;

/// The page's own state.
#[derive(Debug)]
pub(in crate::server) struct PageState {
    /// The sessions that the form has begun.
    pub(super) sessions: Sessions,
    /// The places of those who are kept current.
    pub(super) listeners: Arc<Semaphore>,
    started_at: u64,
    guides: Option<GuideMaker>,
    login: Mutex<Option<(Instant, LoginView)>>,
    current: Mutex<Option<Arc<Rendered>>>,
}

/// Tells how tools are pointed at this proxy, with the models that it has.
#[derive(Clone)]
pub struct GuideMaker(Arc<dyn Fn(&Models) -> Guides + Send + Sync>);

impl GuideMaker {
    /// Creates one that calls `make`, which may read files.
    pub fn new(make: impl Fn(&Models) -> Guides + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for GuideMaker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a maker of guides")
    }
}

/// A rendering, and what it was made of.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) view: PageView,
    pub(super) parts: Vec<PagePart>,
    at: Instant,
}

impl Default for PageState {
    fn default() -> Self {
        Self {
            sessions: Sessions::default(),
            listeners: Arc::new(Semaphore::new(MOST_LISTENERS)),
            started_at: unix_now().as_secs(),
            guides: None,
            login: Mutex::default(),
            current: Mutex::default(),
        }
    }
}

impl PageState {
    /// Sets what tells how tools are pointed at this proxy.
    pub(in crate::server) fn set_guides(&mut self, guides: GuideMaker) {
        self.guides = Some(guides);
    }

    /// Returns the guides, with the models as they are now.
    pub(super) async fn guides(&self, models: &Arc<Models>) -> Option<Guides> {
        let (guides, models) = (self.guides.clone()?, models.clone());
        Some(apart(move || (guides.0)(&models)).await)
    }

    /// Returns the newest rendering, a new one if it is no longer fresh.
    pub(super) async fn current(&self, app: &App) -> Arc<Rendered> {
        let mut current = self.current.lock().await;
        if let Some(rendered) = current.as_ref().filter(|rendered| rendered.at.elapsed() < FRESH) {
            return rendered.clone();
        }
        let view = self.gather(app).await;
        let parts = view.parts();
        current.insert(Arc::new(Rendered { view, parts, at: Instant::now() })).clone()
    }

    async fn gather(&self, app: &App) -> PageView {
        let login = self.login(&app.supplier).await;
        let (ledger, recorded) = match app.ledger.clone() {
            None => (LedgerView::Off, None),
            Some(ledger) => {
                let account = login.account.clone();
                apart(move || match read(&ledger, account.as_deref()) {
                    Ok((rows, limits)) => (LedgerView::Read(rows), limits),
                    Err(error) => (LedgerView::Unreadable(error.to_string()), None),
                })
                .await
            }
        };
        // A reading belongs to one account: that of a former login says nothing of this one.
        let latest = app.limits().latest().filter(|latest| Some(&latest.account) == login.account.as_ref());
        PageView {
            now: unix_now().as_secs(),
            started_at: self.started_at,
            is_demo: app.settings.mode == ServerMode::Demo,
            limits: latest.map(|latest| latest.limits).or(recorded),
            ledger,
            models: models(&app.models),
            login,
        }
    }

    /// Returns the login as its store has it. The store may be a keychain, so it is asked rarely.
    async fn login(&self, supplier: &TokenSupplier) -> LoginView {
        let mut known = self.login.lock().await;
        if let Some((_, login)) = known.as_ref().filter(|(at, _)| at.elapsed() < LOGIN_FRESH) {
            return login.clone();
        }
        let login = look_at(supplier).await;
        known.insert((Instant::now(), login)).1.clone()
    }
}

async fn look_at(supplier: &TokenSupplier) -> LoginView {
    let place = supplier.place();
    let store = format!("{}: {}", place.store.as_str(), place.location);
    let login = match supplier.login().await {
        Ok(login) => login,
        Err(CredentialError::Missing { .. }) => return LoginView { store, ..LoginView::default() },
        Err(error) => return LoginView { store, error: Some(error.to_string()), ..LoginView::default() },
    };
    let status = supplier.status().await;
    LoginView {
        is_there: true,
        is_expired: status.is_expired,
        is_renewable: login.refresh_token.is_some(),
        email: login.email,
        account: Some(login.access.account_id),
        plan: login.plan,
        expires_at: login.expires_at,
        store,
        error: status.error,
    }
}

/// Reads what is shown of the ledger, and the account's usage windows as it has them.
fn read(ledger: &Ledger, account: Option<&str>) -> Result<(LedgerRows, Option<PlanLimits>), LedgerError> {
    let lost = ledger.counts().lost;
    let place: &LedgerPlace = ledger.place();
    let Some(reader) = LedgerReader::open(place)? else {
        return Ok((LedgerRows { lost, ..LedgerRows::default() }, None));
    };
    let rows = LedgerRows {
        recent: reader.newest(MOST_REQUESTS)?,
        days: reader.days(DAYS)?,
        sums: reader.usage(reader.since(DAYS)?, &[Grouping::Day, Grouping::Model])?,
        lost,
    };
    let limits = account.map(|account| reader.limits(Some(account))).transpose()?.flatten();
    Ok((rows, limits))
}

/// The models that the account can be expected to have, the usual one first.
fn models(models: &Models) -> ModelsView {
    let entries = models.names_for_people().iter().filter_map(|name| models.find(name)).collect();
    ModelsView { entries, is_own_list: !models.live().is_empty() }
}

/// The time for which a rendering is good.
const FRESH: Duration = Duration::from_secs(1);
/// The time for which the store's answer is good.
const LOGIN_FRESH: Duration = Duration::from_secs(30);
/// The most browsers that are kept current at a time.
pub(super) const MOST_LISTENERS: usize = 16;
/// The requests that are shown.
const MOST_REQUESTS: u32 = 20;
/// The days of the plot.
const DAYS: u32 = 14;
