//! The ceilings of what strangers reach: one for each class of routes, counted for each network.

use std::num::NonZeroU32;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;

use super::App;
use crate::config::Limits as Settings;
use crate::model::attempt::Stage;
use crate::request::context::RequestContext;
use crate::request::limit::Limit;
use crate::response::respond::TooMany;

/// The ceilings.
#[derive(Debug)]
pub(crate) struct Limits {
    register: Limit,
    authorize: Limit,
    /// In KiB that are kept.
    kept: Limit,
    token: Limit,
    probe: Limit,
    pub(crate) api_failures: Limit,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// New clients.
    Registration,
    /// New authorization requests.
    Authorization,
    /// Logos, which consent pages show: as many as there may be such pages.
    Logo,
    /// Requests with a token or a code.
    Token,
    /// The same at the revocation endpoint.
    Revocation,
    /// The doctor's questions.
    Probe,
}

impl Class {
    /// The step under which a refusal is recorded.
    const fn stage(self) -> Stage {
        match self {
            Self::Registration => Stage::Registration,
            Self::Authorization => Stage::Authorize,
            Self::Token => Stage::Token,
            Self::Revocation => Stage::Revoke,
            Self::Logo | Self::Probe => Stage::Other,
        }
    }

    /// What the log calls the endpoint.
    const fn endpoint(self) -> &'static str {
        match self {
            Self::Registration => "register",
            Self::Authorization => "authorize",
            Self::Token => "token",
            Self::Revocation => "revoke",
            Self::Logo => "logo",
            Self::Probe => "probe",
        }
    }
}

impl Limits {
    /// Those of the settings, if they are switched on.
    pub(super) fn of(own: &Settings) -> Option<Self> {
        own.enabled.then(|| Self {
            register: Limit::new(own.register_per_minute, Some(own.register_per_minute_total)),
            authorize: Limit::new(own.authorize_per_minute, None),
            kept: Limit::new(own.authorize_kib_per_minute, Some(own.authorize_kib_per_minute_total)),
            token: Limit::new(own.token_per_minute, None),
            probe: Limit::new(own.authorize_per_minute, None),
            api_failures: Limit::new(own.api_failures_per_minute, None),
        })
    }

    /// Forgets networks that have not been seen for a while.
    pub(crate) fn sweep(&self) {
        for limit in [&self.register, &self.authorize, &self.kept, &self.token, &self.probe, &self.api_failures] {
            limit.sweep();
        }
    }

    const fn of_class(&self, class: Class) -> &Limit {
        match class {
            Class::Registration => &self.register,
            Class::Authorization | Class::Logo => &self.authorize,
            Class::Token | Class::Revocation => &self.token,
            Class::Probe => &self.probe,
        }
    }
}

impl App {
    /// Counts one request of this class.
    pub(crate) fn admit(&self, class: Class, context: &RequestContext) -> Result<(), TooMany> {
        let (Some(limits), Some(network)) = (&self.limits, context.network()) else { return Ok(()) };
        limits.of_class(class).check(network).map_err(TooMany)
    }

    /// Counts what an authorization request takes up once it is stored, in KiB; of strangers, for all of them together
    /// too.
    pub(crate) fn admit_kept(
        &self,
        kib: NonZeroU32,
        is_stranger: bool,
        context: &RequestContext,
    ) -> Result<(), TooMany> {
        let (Some(limits), Some(network)) = (&self.limits, context.network()) else { return Ok(()) };
        limits.kept.check_many(network, kib, is_stranger).map_err(TooMany)
    }
}

/// Counts every request to these handlers before they are called; they answer in JSON.
pub(crate) fn limited(app: &App, class: Class, handlers: MethodRouter<App>) -> MethodRouter<App> {
    handlers.layer(from_fn_with_state((app.clone(), class), count))
}

async fn count(State((app, class)): State<(App, Class)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut context = app.contexts.of(&parts);
    context.stage = class.stage();
    if let Err(wait) = app.admit(class, &context) {
        return app.edge.json(class.endpoint(), &context, Err(wait.into()));
    }
    parts.extensions.insert(context);
    next.run(Request::from_parts(parts, body)).await
}
