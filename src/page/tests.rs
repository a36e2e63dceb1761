//! Tests of the rendering: the verdict, honest numbers, and that no text from elsewhere becomes HTML.

use std::time::Duration;

use proptest::prelude::*;

use crate::ledger::summary::{UsageGroup, UsageSums};
use crate::ledger::{LedgerEntry, TokenCounts};
use crate::limits::{PlanCredits, PlanLimits, UsageWindow};
use crate::models::Models;
use crate::page::document;
use crate::page::view::{GuideText, Guides, LedgerRows, LedgerView, LoginView, ModelsView, PageView, ToolGuide};
use crate::phases::{Phase, PhaseTimes};

const NOW: u64 = 1_795_666_259;

/// A page on which everything is well; `text` stands in every place of a text from elsewhere.
fn view(text: &str) -> PageView {
    let named = |name: &str| format!("{name}{text}");
    let mut phases = PhaseTimes::default();
    phases.add(Phase::Head, Duration::from_millis(430));
    let entry = LedgerEntry {
        started_at: (NOW - 180) * 1000,
        route: named("/route").into(),
        client: Some(named("key").into()),
        model_asked: Some(named("asked")),
        model_sent: Some(named("sent")),
        model_answered: Some(named("answered")),
        effort: Some(named("high")),
        is_whole: true,
        status: Some(200),
        tokens: Some(TokenCounts { input: 9_500, cached: 8_000, output: 1_200, reasoning: 0 }),
        first_token_ms: Some(900),
        duration_ms: 14_000,
        phases,
        ..LedgerEntry::default()
    };
    let failed = LedgerEntry { status: Some(400), error_code: Some(named("code")), tokens: None, ..entry.clone() };
    let sums = UsageSums {
        requests: 2,
        tokens: TokenCounts { input: 60, output: 40, ..TokenCounts::default() },
        ..UsageSums::default()
    };
    let group =
        |model: &str| UsageGroup { day: Some("2026-11-26".to_owned()), model: Some(named(model)), client: None, sums };
    let window = UsageWindow {
        name: named("weekly"),
        feature: Some(named("feature")),
        ..UsageWindow::new(604_800, 19.0, Some(NOW + 7200))
    };
    PageView {
        now: NOW,
        started_at: NOW - 3600,
        is_demo: false,
        login: LoginView {
            is_there: true,
            is_renewable: true,
            email: Some(named("mail")),
            account: Some(named("account")),
            plan: Some(named("plan")),
            expires_at: Some(NOW + 86_400),
            store: named("store"),
            ..LoginView::default()
        },
        limits: Some(PlanLimits {
            observed_at: NOW - 12,
            plan_type: None,
            windows: vec![UsageWindow::new(18_000, 54.0, Some(NOW + 60)), window],
            credits: Some(PlanCredits { has_credits: true, unlimited: false, balance: Some(named("9")) }),
            reached_type: None,
        }),
        ledger: LedgerView::Read(LedgerRows {
            recent: vec![entry, failed],
            days: vec!["2026-11-25".to_owned(), "2026-11-26".to_owned()],
            sums: vec![group("one"), group("two")],
            lost: 0,
        }),
        models: ModelsView { entries: Models::default().list().into_iter().take(2).collect(), is_own_list: true },
    }
}

fn guides(text: &str) -> Guides {
    let copied = || GuideText { place: format!("place{text}"), text: format!("text{text}") };
    Guides {
        base_url: format!("base{text}"),
        root: format!("root{text}"),
        any_key: Some("any"),
        tools: vec![ToolGuide {
            name: "tool",
            title: "Tool",
            commands: vec![copied()],
            settings: vec![copied()],
            then: format!("then{text}"),
        }],
    }
}

fn html(view: &PageView, text: &str) -> String {
    document::page(view, &view.parts(), Some(&guides(text)))
}

fn part(view: &PageView, id: &str) -> String {
    view.parts().into_iter().find(|(name, _)| *name == id).map(|(_, inside)| inside).expect("a part")
}

/// What a reader sees of `html`.
fn visible(html: &str) -> String {
    let mut is_tag = false;
    let letters = html.chars().filter(|letter| {
        let was_tag = is_tag;
        is_tag = *letter == '<' || (is_tag && *letter != '>');
        !was_tag && !is_tag
    });
    letters.collect()
}

/// The letters of HTML itself.
fn structure(html: &str) -> Vec<char> {
    html.chars().filter(|letter| matches!(letter, '<' | '>' | '"')).collect()
}

proptest! {
    /// Every text from elsewhere stays a text: it opens no tag, ends no attribute and begins no entity.
    #[test]
    fn no_text_becomes_html(text in r#"(?s)[<>"'&/;=!a-z -]{0,24}|.{0,24}"#) {
        let (with, without) = (html(&view(&text), &text), html(&view(""), ""));
        prop_assert_eq!(structure(&with), structure(&without));
        let mut failing = view(&text);
        failing.login.error = Some(text.clone());
        failing.ledger = LedgerView::Unreadable(text.clone());
        let mut harmless = view("");
        harmless.login.error = Some(String::new());
        harmless.ledger = LedgerView::Unreadable(String::new());
        prop_assert_eq!(structure(&html(&failing, &text)), structure(&html(&harmless, "")));
        prop_assert_eq!(structure(&document::sign_in(Some(&text))), structure(&document::sign_in(Some(""))));
    }
}

#[test]
fn a_hostile_name_is_shown_as_it_is() {
    let shown = html(&view("<img src=x onerror=alert(1)>\"&amp;"), "</script><script>");
    assert!(!shown.contains("<img") && shown.contains("asked&lt;img src=x onerror=alert(1)&gt;&quot;&amp;amp;"));
    assert_eq!(shown.matches("<script").count(), 1, "the page's own");
    assert!(!document::SCRIPT.contains("</script") && !document::STYLE.contains("</style"));
}

/// What makes a page of one on which everything is well.
type Change<'c> = &'c dyn Fn(&mut PageView);

#[test]
fn the_verdict_is_never_better_than_what_is_known() {
    let spent = |view: &mut PageView| view.limits.as_mut().expect("limits").windows[0].used_percent = 100.0;
    let changes: [(&str, Change<'_>); 12] = [
        ("It works. Last answer 2 minutes ago.", &|_| {}),
        ("Ready.", &|view| view.ledger = LedgerView::Off),
        ("Not signed in.", &|view| view.login = LoginView::default()),
        ("The login does not work. it has ended", &|view| view.login.error = Some("it has ended".to_owned())),
        ("The login does not work. the access token has expired", &|view| {
            (view.login.is_expired, view.login.is_renewable) = (true, false);
        }),
        ("It works.", &|view| view.login.is_expired = true),
        ("The plan's limit is reached. The 5-hour window is spent. Answers come again in 1 minute.", &spent),
        ("It works.", &|view| {
            spent(view);
            view.now += 60;
        }),
        ("It works.", &|view| view.limits.as_mut().expect("limits").windows[1].used_percent = 100.0),
        ("The plan's limit is reached.", &|view| {
            view.limits.as_mut().expect("limits").reached_type = Some("rate_limit_reached".to_owned());
        }),
        ("The last request failed. 502 upstream_error, 2 minutes ago.", &|view| {
            let LedgerView::Read(rows) = &mut view.ledger else { panic!("a ledger") };
            (rows.recent[0].status, rows.recent[0].error_code) = (Some(502), Some("upstream_error".to_owned()));
        }),
        ("It works.", &|view| {
            let LedgerView::Read(rows) = &mut view.ledger else { panic!("a ledger") };
            rows.recent.remove(0);
        }),
    ];
    for (expected, change) in changes {
        let mut view = view("");
        change(&mut view);
        let shown = visible(&part(&view, "verdict"));
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn a_window_says_what_is_left_and_of_when_that_is() {
    let mut page = view("");
    let shown = visible(&part(&page, "limits"));
    assert!(shown.contains("5-hour 46 % left") && shown.contains("Resets in 1 minute"), "{shown}");
    assert!(shown.contains("As the backend told it less than a minute ago"), "{shown}");
    assert!(part(&page, "limits").contains(r#"<rect class="rest" width="46""#));
    page.now += 60;
    let shown = visible(&part(&page, "limits"));
    assert!(shown.contains("5-hour began anew less than a minute ago") && !shown.contains("46 %"), "{shown}");
    page.limits = None;
    assert!(visible(&part(&page, "limits")).contains("Not known yet"));
}

#[test]
fn a_request_tells_the_models_its_times_and_its_tokens() {
    let page = view("");
    let shown = visible(&part(&page, "recent"));
    assert!(shown.contains("asked → sent → answered high"), "{shown}");
    assert!(shown.contains("900ms") && shown.contains("upstream head 430ms") && shown.contains("14s"), "{shown}");
    assert!(shown.contains("9.5k → 1.2k") && shown.contains("84 %") && shown.contains("400 code"), "{shown}");
    let mut same = page;
    let LedgerView::Read(rows) = &mut same.ledger else { panic!("a ledger") };
    rows.recent.truncate(1);
    (rows.recent[0].model_asked, rows.recent[0].model_answered) = (Some("sent".to_owned()), Some("sent".to_owned()));
    rows.recent[0].client = None;
    let shown = visible(&part(&same, "recent"));
    assert!(!shown.contains("→ answered") && !shown.contains("sent → sent") && !shown.contains("Key"), "{shown}");
}

#[test]
fn the_plot_is_as_high_as_its_numbers() {
    let page = view("");
    let shown = part(&page, "tokens");
    // Two models of 100 tokens each below a top of 200: half the height each, one upon the other.
    for bar in [
        r#"class="series0" x="11" width="8" y="50.00" height="50.00""#,
        r#"class="series1" x="11" width="8" y="0.00" height="50.00""#,
    ] {
        assert!(shown.contains(bar), "{bar}: {shown}");
    }
    let mut many = page;
    let LedgerView::Read(rows) = &mut many.ledger else { panic!("a ledger") };
    let one = rows.sums[0].clone();
    rows.sums = (0..9).map(|number| UsageGroup { model: Some(format!("model-{number}")), ..one.clone() }).collect();
    let shown = part(&many, "tokens");
    assert!(shown.contains("series4") && !shown.contains("series5") && shown.contains("> others<"), "{shown}");
    assert!((0..9).all(|number| shown.contains(&format!("model-{number}</td>"))), "the table has them all");
}

#[test]
fn what_is_to_be_done_is_told_and_nothing_else() {
    let mut page = view("");
    assert_eq!(visible(&part(&page, "todo")), "Nothing.");
    page.login.is_renewable = false;
    page.limits.as_mut().expect("limits").windows[0].used_percent = 95.0;
    let LedgerView::Read(rows) = &mut page.ledger else { panic!("a ledger") };
    rows.lost = 3;
    let shown = visible(&part(&page, "todo"));
    assert!(shown.contains("The login ends in 1 day") && shown.contains("codex-proxy login"), "{shown}");
    assert!(shown.contains("The 5-hour window has 5 % left. It begins anew in 1 minute."), "{shown}");
    assert!(shown.contains("3 requests could not be recorded"), "{shown}");
    page.login = LoginView::default();
    assert!(visible(&part(&page, "todo")).contains("Sign in: codex-proxy login."));
}
