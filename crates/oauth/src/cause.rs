//! Why a step of connecting ended as it did. Programs decide by it; the sentence that stands beside it is for people, and may
//! be reworded at any time.

crate::words! {
    /// The cause of a refusal, or what is worth knowing of a step that went well.
    Cause {
        /// A page was shown, and the person has to answer.
        Asked = "asked",
        /// The short page was shown: the same was allowed before.
        AskedToContinue = "asked_to_continue",
        /// The person allowed access.
        Allowed = "allowed",
        /// Access was allowed without a question: the client is the operator's own.
        AllowedFirstParty = "allowed_first_party",
        /// A refresh token came again in time and got the same answer.
        Repeated = "repeated",
        /// A registration that was lost here was taken in again.
        Readopted = "readopted",
        /// An identical registration was there already.
        AlreadyRegistered = "already_registered",
        /// The client changed its registration (RFC 7592 §2.2).
        RegistrationChanged = "registration_changed",
        /// The client deleted its registration (RFC 7592 §2.3).
        RegistrationDeleted = "registration_deleted",
        /// The person ended the connection.
        Disconnected = "disconnected",
        /// The client revoked its token (RFC 7009).
        TokenGivenBack = "token_given_back",

        /// The request can't be read, or a parameter is missing, repeated or has no lawful value.
        Malformed = "malformed",
        /// The body is larger than what is read.
        TooLarge = "too_large",
        /// Too many requests.
        RateLimited = "rate_limited",
        /// There is nothing at this address.
        NotFound = "not_found",
        /// The address doesn't take this method.
        WrongMethod = "wrong_method",

        /// No client has this id.
        ClientUnknown = "client_unknown",
        /// An administrator has disabled the client.
        ClientDisabled = "client_disabled",
        /// The client's registration was deleted.
        ClientDeleted = "client_deleted",
        /// The client's proof of who it is is missing or wrong, or of another kind than it registered.
        ClientAuthentication = "client_authentication",
        /// The client's metadata document could not be fetched.
        DocumentUnfetched = "document_unfetched",
        /// The client's metadata document, or its address, breaks a rule.
        DocumentUnfit = "document_unfit",
        /// The operator's policy lets no client with this document in.
        DocumentNotAllowed = "document_not_allowed",
        /// Registration needs the initial access token (RFC 7591 §3).
        RegistrationClosed = "registration_closed",
        /// The registration access token is wrong (RFC 7592 §3).
        RegistrationToken = "registration_token",
        /// A redirect URI can't be registered.
        RedirectUriUnfit = "redirect_uri_unfit",
        /// Other client metadata can't be registered.
        MetadataUnfit = "metadata_unfit",

        /// The redirect URI is none of the client's.
        RedirectUriUnregistered = "redirect_uri_unregistered",
        /// PKCE is missing or has the wrong method (RFC 7636 §4.3).
        ChallengeUnfit = "challenge_unfit",
        /// The resource is none of this server's (RFC 8707 §2).
        ResourceUnknown = "resource_unknown",
        /// None of the scopes can be granted.
        ScopeUnfit = "scope_unfit",
        /// A response type, response mode or kind of request that isn't offered.
        NotOffered = "not_offered",
        /// The request began in another browser, or its cookie was lost.
        AnotherBrowser = "another_browser",
        /// The form is not the one that was shown to this browser.
        FormUnfit = "form_unfit",
        /// The authorization request has expired, or there is none.
        RequestExpired = "request_expired",
        /// The request was finished before.
        AlreadyDone = "already_done",
        /// The server was moved to another address after the client had asked.
        ServerMoved = "server_moved",
        /// The browser has no session (`prompt=none`).
        LoginRequired = "login_required",
        /// The person would have to decide (`prompt=none`).
        InteractionRequired = "interaction_required",
        /// The person did not allow access.
        Denied = "denied",
        /// The login name or the password is wrong.
        CredentialsWrong = "credentials_wrong",
        /// Too many failed sign-ins.
        LockedOut = "locked_out",
        /// The one-time link was used, has expired, or there is none.
        LinkUnfit = "link_unfit",

        /// There is no such code.
        CodeUnknown = "code_unknown",
        /// The code has expired, or was withdrawn.
        CodeExpired = "code_expired",
        /// The code was issued to another client.
        CodeOfAnotherClient = "code_of_another_client",
        /// The code was used before (RFC 9700 §4.5).
        CodeReplayed = "code_replayed",
        /// The redirect URI differs from the one of the authorization request.
        RedirectUriDiffers = "redirect_uri_differs",
        /// The code verifier is missing, or doesn't belong to the challenge (RFC 7636 §4.6).
        VerifierUnfit = "verifier_unfit",
        /// There is no such refresh token, or it is another client's.
        RefreshUnknown = "refresh_unknown",
        /// The refresh token has expired, or its grant has ended.
        RefreshExpired = "refresh_expired",
        /// The refresh token was used before (RFC 9700 §4.14.2).
        RefreshReplayed = "refresh_replayed",
        /// A quicker request of the same client has gone on; nothing was ended.
        RefreshOvertaken = "refresh_overtaken",
        /// The client gets no refresh tokens any more.
        RefreshNotAllowed = "refresh_not_allowed",
        /// The client may not have the granted scopes any more.
        ScopeWithdrawn = "scope_withdrawn",
        /// The resource that was granted is not served any more.
        ResourceNotServed = "resource_not_served",
        /// The grant type isn't offered.
        GrantTypeUnsupported = "grant_type_unsupported",

        /// No token came with the call.
        TokenMissing = "token_missing",
        /// A token came in the URL, under another scheme, or with nothing in it.
        TokenMisplaced = "token_misplaced",
        /// The access token has expired.
        TokenExpired = "token_expired",
        /// The connection that the access token belongs to has been revoked.
        TokenRevoked = "token_revoked",
        /// The access token is for another resource, or of another issuer.
        TokenElsewhere = "token_elsewhere",
        /// The access token is none of this server's.
        TokenInvalid = "token_invalid",
        /// Whether the token has been revoked is unknown at the moment.
        RevocationUnknown = "revocation_unknown",
        /// The call came for a host that this server doesn't answer for.
        HostNotAllowed = "host_not_allowed",
        /// Pages of this origin may not call.
        OriginNotAllowed = "origin_not_allowed",
        /// The token's scope is too small for the call.
        ScopeInsufficient = "scope_insufficient",
        /// The media types of the call don't fit.
        MediaTypeUnfit = "media_type_unfit",
        /// The message is no lawful one of the protocol version.
        MessageUnfit = "message_unfit",
        /// The protocol version is not known here.
        VersionUnsupported = "version_unsupported",

        /// This server was at fault.
        ServerFault = "server_fault",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Cause;

    /// A word in a row stands for one cause, today and after the next upgrade.
    #[test]
    fn every_cause_comes_back_from_its_word() {
        let words: HashSet<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.as_str()), Some(*cause));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
        assert_eq!(Cause::parse("of_tomorrow"), None);
    }
}
