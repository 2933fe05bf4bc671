// Handlers: the verbs on resources. Private to api/. Loop thread only.
#pragma once

#include "api/auth.h"
#include "api/pod_backend.h"
#include "api/registry.h"
#include "api/request.h"
#include "api/tokens.h"

namespace fairlead::api {

struct Services {  // what handlers work with; owned by the ApiServer
  io::Loop& loop;
  store::Store& store;
  Registry& registry;
  Auth& auth;
  Tokens& tokens;
  PodBackend* pods;
};

// The Kubernetes verb of a request on `target`: get, list, watch, create, update, patch, delete, deletecollection.
std::string_view verb_of(const http::RequestHead& head, const Target& target);

// Requests on stored kinds. `body` is "" for GET.
void handle_resource(Services& services, const RequestPtr& request, std::string_view verb, std::string body);

void handle_get(Services& services, const RequestPtr& request);
void handle_list(Services& services, const RequestPtr& request);
void handle_create(Services& services, const RequestPtr& request, std::string body);
void handle_update(Services& services, const RequestPtr& request, std::string body);
void handle_patch(Services& services, const RequestPtr& request, std::string body);
void handle_delete(Services& services, const RequestPtr& request, std::string_view body);
void handle_delete_collection(Services& services, const RequestPtr& request, std::string_view body);

// Subresources: scale, token, eviction, binding.
void handle_scale(Services& services, const RequestPtr& request, std::string_view verb, std::string body);
void handle_token(Services& services, const RequestPtr& request, std::string_view body);
void handle_eviction(Services& services, const RequestPtr& request, std::string_view body);
void handle_binding(Services& services, const RequestPtr& request, std::string_view body);

// pods/NAME/log, exec, attach, portforward (pod_streams.cc). Not given a body: they may upgrade the connection.
bool is_pod_stream(const Target& target);
void handle_pod_stream(Services& services, const RequestPtr& request);

// A parsed body and the duplicate keys found in it.
struct Document {
  base::Value value;
  std::vector<base::DuplicateKey> duplicates;
};
// 400 for what does not parse, 415 for a media type that is neither JSON nor YAML.
Outcome<Document> parse_body(const Request& request, std::string_view body);
// dryRun, fieldValidation, caller, version. 400 for values that Kubernetes does not know.
Outcome<WriteOptions> write_options(const Request& request);
Outcome<DeleteOptions> delete_options(const Request& request, std::string_view body);

}  // namespace fairlead::api
