// The webhook's HTTP side: AdmissionReview v1 in, AdmissionReview v1 out. Loop thread of its server.
// Source: Kubernetes' dynamic admission control (admission.k8s.io/v1), Istio's paths /inject and /validate.
#pragma once

#include <functional>

#include "control/injection.h"
#include "http/server.h"

namespace fairlead::control {

// config is asked for each request, so that a change of the mesh's settings is seen by the next pod.
http::Handler make_webhook_handler(std::function<InjectionConfig()> config);

// The answer to one /inject review; the envelope's uid is the request's. Never fails: what cannot be injected is refused
// inside the review with a sentence.
base::Value review_injection(const base::Value& review, const InjectionConfig& config);

}  // namespace fairlead::control
