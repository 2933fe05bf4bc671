// Validate: from a JSON document to a resource that may be stored.
//
// Order in which the API server calls these, for a write: check_shape -> (drop_unknown) -> apply_defaults -> admission
// -> validate_create or validate_update -> warnings. Pure functions, any thread. Every function collects all problems.
// Source of the rules and of the wording: Kubernetes' API machinery (field errors), Istio's pkg/config/validation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "mesh/kinds.h"

namespace fairlead::mesh {

enum class Cause : unsigned char {
  // Problems of shape, found by check_shape.
  kUnknownField,
  kDuplicateField,
  kWrongType,       // 400 for built-in kinds, 422 FieldValueTypeInvalid for kinds of a CustomResourceDefinition
  // Problems of content: 422 with details.causes.
  kInvalid,         // FieldValueInvalid
  kRequired,        // FieldValueRequired
  kNotSupported,    // FieldValueNotSupported
  kDuplicate,       // FieldValueDuplicate
  kForbidden,       // FieldValueForbidden
  kTooLong,         // FieldValueTooLong
  kTooMany,         // FieldValueTooMany
  kNotFound,        // FieldValueNotFound
  kRefused,         // Istio's webhook: the message is a whole sentence, `path` may be empty
};
std::string_view reason(Cause cause);  // "FieldValueInvalid"; "" for kUnknownField and kDuplicateField

struct Problem {
  Cause cause;
  std::string path;             // "spec.containers[0].image"
  std::string message;          // as in details.causes: `Invalid value: "x": must be ...`, `Required value`
  std::string hint;             // "did you mean \"spec.hosts\"?"; may be empty
  base::Position position;
  // "spec.containers[0].image: Required value"; for unknown fields: unknown field "spec.foo".
  std::string text() const;
};
using Problems = std::vector<Problem>;

// Unknown fields, duplicate keys (those the parser reported) and wrong types. `duplicates` may be nullptr.
Problems check_shape(const Kind& kind, const base::Value& object, const std::vector<base::DuplicateKey>* duplicates = nullptr);
// Removes what the tables do not know (fieldValidation Ignore and Warn).
void drop_unknown(const Kind& kind, base::Value& object);
// Fills in what Kubernetes fills in on a write. Nothing that needs the store (cluster IPs, node ports, uid).
void apply_defaults(const Kind& kind, base::Value& object);

// `object` has passed check_shape. Names, metadata and content.
Problems validate_create(const Kind& kind, const base::Value& object);
// As validate_create, and fields that must not change.
Problems validate_update(const Kind& kind, const base::Value& object, const base::Value& old);
// Sentences for the Warning header: deprecated fields, inert fields (that Fairlead does not act on yet), Istio's advice.
std::vector<std::string> warnings(const Kind& kind, const base::Value& object);

// The Status objects that kubectl prints. `verb` texts follow Kubernetes:
//   400  Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"
//   422  Pod "x" is invalid: [spec.containers: Required value, ...], with details.causes
//   400  admission webhook "validation.istio.io" denied the request: ...      (Cause::kRefused)
base::Value shape_status(const Kind& kind, std::string_view version, std::string_view name, const Problems& problems);
std::string refusal_text(const std::vector<std::string>& refusals);  // how Istio lists several errors
// What Kubernetes adds for a kind with rules (x-kubernetes-validations), under the field "<nil>", when they had to be left out.
inline constexpr std::string_view kRulesNotChecked =
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
base::Value invalid_status(const Kind& kind, std::string_view name, const Problems& problems);

// One document of a file as istioctl and tests need it: kind found by apiVersion and kind, shape, defaults, content; all
// problems. Problems without a kind have an empty path and say which kind was asked for.
Problems check_document(base::Value& object, const std::vector<base::DuplicateKey>* duplicates = nullptr);

// Names (nullptr when it is one, else Kubernetes' sentence).
const char* dns1123_label_error(std::string_view s);
const char* dns1123_subdomain_error(std::string_view s);
const char* dns1035_label_error(std::string_view s);
const char* qualified_name_error(std::string_view s);   // label and annotation keys
const char* label_value_error(std::string_view s);

}  // namespace fairlead::mesh
