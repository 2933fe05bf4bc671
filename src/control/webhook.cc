#include "control/webhook.h"

#include "base/log.h"
#include "base/strings.h"

namespace fairlead::control {
namespace {

using base::Value;

constexpr size_t kMaxReviewBytes = 4u << 20;  // an object of the API server's own limit, plus the envelope

Value envelope(const Value& review, Value response) {
  response.set("uid", review["request"]["uid"]);
  return Value::object({{"kind", "AdmissionReview"}, {"apiVersion", review["apiVersion"].string_or("admission.k8s.io/v1")}, {"response", std::move(response)}});
}

Value refusal(std::string_view message, int code) {
  return Value::object({{"allowed", false}, {"status", Value::object({{"message", message}, {"code", code}})}});
}

}  // namespace

Value review_injection(const Value& review, const InjectionConfig& config) {
  const Value& request = review["request"];
  const Value& pod = request["object"];
  if (!pod.is_object()) return envelope(review, refusal("the review carries no object", 400));
  std::string ns = request["namespace"].string_or(pod["metadata"]["namespace"].string_or("default"));
  if (std::string reason = reason_not_to_inject(pod, ns); !reason.empty()) {
    FL_LOG_DEBUG("injection", "{}/{}: left alone: {}", ns, pod["metadata"]["name"].string_or(pod["metadata"]["generateName"].as_string()), reason);
    return envelope(review, Value::object({{"allowed", true}}));
  }
  auto injected = inject_pod(pod, ns, config);
  if (!injected) return envelope(review, refusal(injected.error().text(), 400));
  Value patch = injection_patch(pod, *injected);
  return envelope(review, Value::object({{"allowed", true}, {"patchType", "JSONPatch"}, {"patch", base::base64_encode(patch.dump())}}));
}

http::Handler make_webhook_handler(std::function<InjectionConfig()> config) {
  return [config = std::move(config)](std::shared_ptr<http::Exchange> exchange) {
    std::string path(exchange->request().path());
    bool inject = path == "/inject" || path.starts_with("/inject/");
    bool validate = path == "/validate" || path.starts_with("/validate/");
    if (!inject && !validate) return exchange->respond(404, "text/plain", "expected /inject or /validate\n");
    if (exchange->request().method != "POST") return exchange->respond(405, "text/plain", "expected POST\n");
    exchange->read_body(kMaxReviewBytes, [exchange, config, inject](std::string body) {
      auto review = base::parse_json(body);
      if (!review || !(*review)["request"].is_object())
        return exchange->respond(400, "text/plain", review ? "expected an AdmissionReview\n" : review.error().text() + "\n");
      // The API server has validated by the same tables; /validate exists for installations that point Istio's webhook here.
      Value answer = inject ? review_injection(*review, config()) : envelope(*review, Value::object({{"allowed", true}}));
      exchange->respond(200, "application/json", answer.dump());
    });
  };
}

}  // namespace fairlead::control
