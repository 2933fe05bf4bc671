// Failure: a refusal as the API gives it, a Kubernetes Status object. Values; any thread.
//
// Source of reasons, codes and sentences: Kubernetes' apimachinery (metav1.Status, api/errors).
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "mesh/kinds.h"

namespace fairlead::api {

struct Failure {
  base::Value status;  // a Status object; code, reason and message are always there
  std::vector<std::string> warnings{};  // sentences that the client is told beside the refusal
  int code() const { return static_cast<int>(status["code"].as_int(500)); }
  const std::string& message() const { return status["message"].as_string(); }
};

template <class T>
using Outcome = std::expected<T, Failure>;

// With details of `kind` and `name` where they are given.
Failure failure(int code, std::string_view reason, std::string_view message, const mesh::Kind* kind = nullptr,
                std::string_view name = {});
std::unexpected<Failure> refuse(Failure f);

Failure not_found(const mesh::Kind& kind, std::string_view name);            // pods "x" not found
Failure already_exists(const mesh::Kind& kind, std::string_view name);
Failure conflict(const mesh::Kind& kind, std::string_view name, std::string_view why = {});  // "": the object has been modified
Failure forbidden(const mesh::Kind& kind, std::string_view name, std::string_view why);
Failure bad_request(std::string_view message);
Failure method_not_allowed();
Failure expired(std::string_view message);
Failure unsupported_media(std::string_view accepted);
Failure internal(std::string_view message);
// What the store answered, spelled for this object.
Failure from_store(const base::Error& error, const mesh::Kind& kind, std::string_view name);

base::Error to_error(const Failure& failure);  // for callers in the same process

base::Value success(const mesh::Kind& kind, std::string_view name, std::string_view uid);  // the answer to a deletion

}  // namespace fairlead::api
