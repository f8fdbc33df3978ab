-- Why a step of connecting ended as it did, as a word that programs decide by; the sentence in `reason` is for people.
-- Empty where there is nothing to say, and in rows that a copy of the release before writes beside this one.
alter table attempt_event add column cause text;

-- What the sentences of the release before stand for, as far as judgements rest on it.
update attempt_event set cause = case
    when outcome = 'ok' and reason = 'asked' then 'asked'
    when outcome = 'ok' and reason = 'asked to continue' then 'asked_to_continue'
    when outcome = 'ok' and reason = 'allowed' then 'allowed'
    when outcome = 'ok' and reason like 'allowed without a question%' then 'allowed_first_party'
    when outcome = 'ok' and reason like 'repeated:%' then 'repeated'
    when outcome = 'failed' then 'server_fault'
    when reason like '%did not allow access%' then 'denied'
    when stage = 'refresh' and reason like '%was used before%' then 'refresh_replayed'
    when stage = 'refresh' and reason like '%replaced a moment ago%' then 'refresh_overtaken'
    when stage = 'redeem' and reason like '%was used before%' then 'code_replayed'
    when reason like '%the code is unknown, expired%' then 'code_unknown'
    when reason like '%code_verifier%' then 'verifier_unfit'
    when reason like '%code_challenge%' then 'challenge_unfit'
    when reason like 'invalid_grant: redirect_uri differs%' then 'redirect_uri_differs'
    when reason like 'invalid_client:%not registered here%' then 'client_unknown'
    when reason like 'invalid_client:%' then 'client_authentication'
    when reason like 'invalid_target:%' then 'resource_unknown'
    when reason like 'invalid_scope:%' then 'scope_unfit'
    when reason like '%initial access token%' then 'registration_closed'
    when reason like 'invalid_redirect_uri:%' then 'redirect_uri_unfit'
    when reason like '%not registered here%' then 'client_unknown'
    when reason like 'The callback address does not match:%' then 'redirect_uri_unregistered'
    when reason like '%could not be fetched%' then 'document_unfetched'
    when stage = 'document' then 'document_unfit'
    when reason like 'This request began in another browser:%' then 'another_browser'
    when reason like 'This form can''t be accepted:%' then 'form_unfit'
    when reason like 'no_authorization_header:%' then 'token_missing'
    when reason like 'host_not_allowed:%' or reason like 'invalid_host:%' then 'host_not_allowed'
    when reason like 'origin_not_allowed:%' then 'origin_not_allowed'
    when reason like 'insufficient_scope:%' then 'scope_insufficient'
    when reason like 'method_not_allowed:%' then 'wrong_method'
    when reason like 'invalid_token:%has expired%' then 'token_expired'
    when reason like 'invalid_token:%revoked%' then 'token_revoked'
    when reason like 'invalid_token:%, expected %' then 'token_elsewhere'
    when reason like 'Unsupported protocol version%' then 'version_unsupported'
    when reason like 'Invalid Request%' then 'message_unfit'
end
where outcome <> 'ok' or reason <> '';
