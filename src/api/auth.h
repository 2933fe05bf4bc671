// Auth: who is calling and whether it may. Loop thread only. Owner: ApiServer.
//
// Who: a client certificate (common name and organizations) or a ServiceAccount's token. May: the group system:masters
// and the ServiceAccounts of the system's own namespaces everything; any other ServiceAccount what Kubernetes gives one
// without roles (discovery, questions about itself).
#pragma once

#include <optional>
#include <set>
#include <string>

#include "api/request.h"
#include "api/tokens.h"
#include "store/store.h"

namespace fairlead::api {

class Auth {
 public:
  Auth(store::Store& store, const Tokens& tokens, std::set<std::string> system_namespaces)
      : store_(store), tokens_(tokens), system_namespaces_(std::move(system_namespaces)) {}

  // 401 when nobody we know.
  Outcome<Caller> authenticate(http::Exchange& exchange) const;
  // The token's owner, checked against the ServiceAccount (and pod) that it was made for.
  base::Result<Caller> authenticate_token(std::string_view token, std::string_view audience) const;

  // Impersonate-User, Impersonate-Group, Impersonate-Uid (kubectl --as): the caller that the request speaks for.
  Outcome<Caller> impersonated(const Caller& caller, const http::Headers& headers) const;
  bool allowed(const Caller& caller, std::string_view verb, std::string_view group, std::string_view resource) const;
  // 403 with Kubernetes' sentence.
  Outcome<void> authorize(const Caller& caller, std::string_view verb, const Target& target) const;

  // SelfSubjectReview, TokenReview, the access reviews: fills in status. 404 for others.
  Outcome<base::Value> review(const Caller& caller, const Target& target, base::Value body) const;

 private:
  store::Store& store_;
  const Tokens& tokens_;
  const std::set<std::string> system_namespaces_;
};

}  // namespace fairlead::api
