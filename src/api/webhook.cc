#include "api/webhook.h"

#include <algorithm>

#include "api/ids.h"
#include "api/patch.h"
#include "base/log.h"
#include "base/strings.h"
#include "mesh/selector.h"

namespace fairlead::api {

using base::Value;

struct Webhooks::Run {
  Phase phase;
  Request request;
  std::vector<Value> hooks;
  size_t next = 0;
  std::string uid;
  Reviewed result;
  Done done;
};

static bool has(const Value& list, std::string_view wanted) {
  return std::any_of(list.items().begin(), list.items().end(),
                     [&](const Value& v) { return v.as_string() == wanted || v.as_string() == "*"; });
}

static bool rule_matches(const Value& rule, const Webhooks::Request& request) {
  const std::string& scope = rule["scope"].as_string();
  if (scope == "Cluster" && request.kind->namespaced) return false;
  if (scope == "Namespaced" && !request.kind->namespaced) return false;
  if (!has(rule["operations"], request.operation) || !has(rule["apiGroups"], request.kind->group)) return false;
  if (!has(rule["apiVersions"], request.version)) return false;
  return has(rule["resources"], request.kind->plural) || has(rule["resources"], "*/*");
}

static bool selected(const Value* selector, const Value& labels) {
  if (!selector || selector->is_null()) return true;
  auto parsed = mesh::LabelSelector::from_object(*selector);
  return parsed && parsed->matches(labels);
}

std::vector<Value> Webhooks::matching(Phase phase, const Request& request) const {
  std::vector<Value> out;
  // Configurations cannot be kept from being repaired by a webhook of their own.
  if (request.kind->group == "admissionregistration.k8s.io") return out;
  const char* resource = phase == Phase::kMutating ? "mutatingwebhookconfigurations.admissionregistration.k8s.io"
                                                   : "validatingwebhookconfigurations.admissionregistration.k8s.io";
  for (const auto& config : store_.list(resource)) {
    for (const Value& hook : (*config)["webhooks"].items()) {
      const Value& rules = hook["rules"];
      if (std::none_of(rules.items().begin(), rules.items().end(), [&](const Value& r) { return rule_matches(r, request); })) continue;
      if (!selected(hook.find("objectSelector"), request.object["metadata"]["labels"])) continue;
      if (request.kind->namespaced) {
        auto ns = store_.get({"namespaces", "", request.ns});
        if (!selected(hook.find("namespaceSelector"), ns ? (**ns)["metadata"]["labels"] : Value())) continue;
      } else if (request.kind->kind == "Namespace" && request.kind->group.empty()) {
        if (!selected(hook.find("namespaceSelector"), request.object["metadata"]["labels"])) continue;
      }
      out.push_back(hook);
    }
  }
  return out;
}

bool Webhooks::wanted(Phase phase, const Request& request) const { return !matching(phase, request).empty(); }

void Webhooks::review(Phase phase, Request request, Done done) {
  auto run = std::make_shared<Run>();
  run->phase = phase;
  run->hooks = matching(phase, request);
  run->uid = new_uid();
  run->result.object = request.object;
  run->request = std::move(request);
  run->done = std::move(done);
  next(std::move(run));
}

static Value user_info(const Caller& caller) {
  Value groups = Value::array();
  for (const auto& g : caller.groups) groups.push(g);
  Value out = Value::object({{"username", caller.user}, {"groups", std::move(groups)}});
  if (!caller.uid.empty()) out.set("uid", caller.uid);
  return out;
}

static Value review_object(const Webhooks::Request& r, const std::string& uid, const Value& object) {
  Value kind = Value::object({{"group", r.kind->group}, {"version", r.version}, {"kind", r.kind->kind}});
  Value resource = Value::object({{"group", r.kind->group}, {"version", r.version}, {"resource", r.kind->plural}});
  Value request = Value::object({{"uid", uid}, {"kind", kind}, {"resource", resource}, {"requestKind", kind}, {"requestResource", resource}});
  if (!r.name.empty()) request.set("name", r.name);
  if (!r.ns.empty()) request.set("namespace", r.ns);
  request.set("operation", r.operation);
  request.set("userInfo", user_info(r.caller));
  request.set("object", object);
  request.set("oldObject", r.old ? *r.old : Value());
  request.set("dryRun", r.dry_run);
  request.set("options", Value::object({{"kind", r.operation == "CREATE" ? "CreateOptions" : "UpdateOptions"}, {"apiVersion", "meta.k8s.io/v1"}}));
  return Value::object({{"kind", "AdmissionReview"}, {"apiVersion", "admission.k8s.io/v1"}, {"request", std::move(request)}});
}

void Webhooks::next(std::shared_ptr<Run> run) {
  if (run->next == run->hooks.size()) {
    run->done(std::move(run->result));
    return;
  }
  const Value& hook = run->hooks[run->next++];
  const Value& config = hook["clientConfig"];
  WebhookCall call;
  call.url = config["url"].as_string();
  call.service_ns = config["service"]["namespace"].as_string();
  call.service_name = config["service"]["name"].as_string();
  call.port = static_cast<uint16_t>(config["service"]["port"].as_int(443));
  const std::chrono::seconds timeout(std::clamp<int64_t>(hook["timeoutSeconds"].as_int(10), 1, 30));
  call.timeout = timeout;
  call.path = config["service"]["path"].string_or("/");
  call.path += (call.path.find('?') == std::string::npos ? "?timeout=" : "&timeout=") + std::to_string(timeout.count()) + "s";
  call.ca_pem = base::base64_decode(config["caBundle"].as_string()).value_or("");
  call.body = review_object(run->request, run->uid, run->result.object).dump();
  if (!transport_) {
    answered(run, hook, base::fail(base::Code::kUnavailable, "no way to reach services"));
    return;
  }
  transport_(std::move(call), [this, run, hook](base::Result<std::string> answer) { answered(run, hook, std::move(answer)); });
}

void Webhooks::answered(const std::shared_ptr<Run>& run, const Value& hook, base::Result<std::string> answer) {
  const std::string& name = hook["name"].as_string();
  std::string broken;
  Value response;
  if (!answer) {
    broken = fmt::format("failed to call webhook: {}", answer.error().text());
  } else {
    auto review = base::parse_json(*answer);
    if (review) response = (*review)["response"];
    if (!response.is_object())
      broken = "could not get a valid AdmissionReview from the response";
    else if (response["uid"].as_string() != run->uid)
      broken = fmt::format("expected response.uid=\"{}\", got \"{}\"", run->uid, response["uid"].as_string());
  }
  if (broken.empty() && !response["allowed"].as_bool()) {
    const Value& status = std::as_const(response)["status"];
    std::string why = status["message"].as_string();
    if (why.empty()) why = status["reason"].as_string();
    const int code = static_cast<int>(status["code"].as_int(400));
    run->done(refuse(failure(code >= 400 && code < 600 ? code : 400, status["reason"].string_or("BadRequest"),
                             why.empty() ? fmt::format("admission webhook \"{}\" denied the request without explanation", name)
                                         : fmt::format("admission webhook \"{}\" denied the request: {}", name, why))));
    return;
  }
  if (broken.empty() && run->phase == Phase::kMutating && !response["patch"].as_string().empty()) {
    auto text = base::base64_decode(response["patch"].as_string());
    auto patch = text ? base::parse_json(*text) : base::Result<Value>(base::fail(base::Code::kInvalidArgument, "not base64"));
    auto patched = patch ? json_patch(run->result.object, *patch) : patch;
    if (!patched) {
      broken = fmt::format("its patch does not apply: {}", patched.error().text());
    } else if (!(*patched == run->result.object)) {
      run->result.object = std::move(*patched);
      run->result.changed = true;
    }
  }
  if (!broken.empty()) {
    if (hook["failurePolicy"].as_string() != "Ignore") {
      run->done(refuse(internal(fmt::format("failed calling webhook \"{}\": {}", name, broken))));
      return;
    }
    FL_LOG_WARN("api", "webhook {} failed and is ignored: {}", name, broken);
  } else {
    for (const Value& w : response["warnings"].items()) run->result.warnings.push_back(w.as_string());
  }
  next(run);
}

}  // namespace fairlead::api
