// One request to the console on its way through the router, and the ways to answer it.
//
// Loop thread only. Handlers keep it by shared_ptr until they have answered.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "console/accounts.h"
#include "console/rule_kinds.h"
#include "http/server.h"

namespace fairlead::console {

struct Request {
  std::shared_ptr<http::Exchange> exchange;
  std::vector<std::string> parts;                                    // what the pattern's {} took, decoded
  std::vector<std::pair<std::string, std::string>> parameters;       // of the query, then of a form
  base::Value body;                                                  // of JSON
  std::optional<User> user;
  Language language = Language::English;
  std::string address;                                               // of the peer

  std::string parameter(std::string_view name) const;                // "" when missing
  std::int64_t number(std::string_view name, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  std::string say(std::string_view en, std::string_view zh) const { return std::string(language == Language::Chinese ? zh : en); }
  std::string_view user_name() const { return user ? std::string_view(user->name) : std::string_view(); }

  void answer(int status, const base::Value& value, http::Headers headers = {}) const;
  void answer(const base::Value& value) const { answer(200, value); }
  // {"error": {"code", "message", ...more}}
  void refuse(int status, std::string_view code, std::string message, base::Value more = {}) const;
  void refuse(const base::Error& error) const;  // status and code follow from the error's
};
using RequestPtr = std::shared_ptr<Request>;

// The name of a cookie in a Cookie field; "" when missing.
std::string_view cookie(std::string_view field, std::string_view name);

}  // namespace fairlead::console
