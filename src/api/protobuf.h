// Protobuf: reads Kubernetes' own protobuf encoding of request bodies into the JSON form that everything here works on.
//
// kubectl's typed commands (create, auth, ...) send it whether a server likes it or not; answers are always JSON, which
// their Accept header allows. Source: k8s.io/api generated.proto files (field numbers in protobuf_tables.cc) and
// k8s.io/apimachinery runtime/serializer/protobuf (the envelope). Pure functions, any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::api {

inline constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";

// The object with apiVersion and kind. InvalidArgument: damaged, or of a kind that has no table.
base::Result<base::Value> decode_protobuf(std::string_view body);

namespace detail {
// "group.Message number:name:type ...", a line a message; types: s string, b bool, i and l integers, d double, y bytes,
// T time, M micro time, D duration, Q quantity, O int-or-string, J JSON bytes, E a list of strings in a message of its own,
// []X and {}X lists and maps (string keys) of X, else a message; name "-" spreads a message's fields into its parent.
extern const std::string_view kProtobufTables;
}  // namespace detail

}  // namespace fairlead::api
