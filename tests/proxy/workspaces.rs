//! Workspaces that are not served where everybody else's are.

use codex_proxy::credentials::document::AuthDocument;
use codex_proxy::simulator::{SimulatedLogin, Simulator};
use codex_proxy::upstream::Routing;
use http::StatusCode;
use serde_json::json;

use super::harness::{Proxy, Setup};

fn hello() -> serde_json::Value {
    json!({ "messages": [{ "role": "user", "content": "hi" }] })
}

#[tokio::test]
async fn a_fedramp_login_goes_to_the_government_address_with_its_header() {
    let government = Simulator::new();
    let running = government.start().await.unwrap();
    let login = government.issue_login(SimulatedLogin::default().fedramp()).to_string();
    let proxy = Proxy::with(Setup {
        document: Some(AuthDocument::parse(&login).unwrap()),
        routing: Routing { fedramp_url: Some(running.upstream_url()), account_override: None },
        ..Setup::default()
    })
    .await;
    assert_eq!(proxy.chat(&hello()).await.status, StatusCode::OK);
    proxy.app.catalogue.refresh().await.unwrap();
    for path in ["/responses", "/models"] {
        let request = government.requests_to(path).pop().unwrap();
        assert_eq!(request.header("x-openai-fedramp"), "true", "{path}");
    }
    assert_eq!(proxy.simulator.requests().len(), 0, "nothing went to the usual address");
    // Everybody else goes there.
    let usual = Proxy::with(Setup {
        routing: Routing { fedramp_url: Some(running.upstream_url()), account_override: None },
        ..Setup::default()
    })
    .await;
    assert_eq!(usual.chat(&hello()).await.status, StatusCode::OK);
    assert_eq!(usual.simulator.requests_to("/responses").len(), 1);
}

#[tokio::test]
async fn the_configured_route_is_in_every_call_to_the_backend_and_in_none_to_the_issuer() {
    let routing = Routing { fedramp_url: None, account_override: Some("eu-residency".to_owned()) };
    let proxy = Proxy::with(Setup { routing, ..Setup::default() }).await;
    proxy.simulator.configure(|settings| settings.workspace.routing_override = Some("eu-residency".to_owned()));
    // A token that the backend no longer takes, so that the issuer is asked, too.
    proxy.simulator.expire_access_tokens();
    assert_eq!(proxy.chat(&hello()).await.status, StatusCode::OK);
    proxy.app.catalogue.refresh().await.unwrap();
    let route =
        |path| proxy.simulator.requests_to(path).pop().unwrap().header("x-openai-account-routing-override").to_owned();
    assert_eq!([route("/responses"), route("/models"), route("/oauth/token")], ["eu-residency", "eu-residency", ""]);
    // Without it this backend refuses: the check above is none of the simulator's good will.
    let without = Proxy::start().await;
    without.simulator.configure(|settings| settings.workspace.routing_override = Some("eu-residency".to_owned()));
    assert_ne!(without.chat(&hello()).await.status, StatusCode::OK);
}
