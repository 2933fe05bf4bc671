// Bookinfo: four small services that put together a page about one book. The behaviour that tutorials rely on
// (paths, JSON shapes, time-outs, the retry of productpage, environment variables) is that of Istio's samples/bookinfo.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/value.h"

namespace fairlead::sample {

int productpage_main(uint16_t port);
int details_main(uint16_t port, std::string_view version);
int reviews_main(uint16_t port, std::string_view version);
int ratings_main(uint16_t port, std::string_view version);

// --- what can be tested without a socket

// The whole HTML page. status: of the details and reviews services as productpage saw it; user "" when nobody is logged in.
std::string productpage_html(std::string_view user, int details_status, const base::Value& details, int reviews_status,
                             const base::Value& reviews);
std::string productpage_index_html();

// The session cookie: who is logged in, as the user's own browser keeps it. Not signed: it protects nothing.
std::string session_cookie(std::string_view user);
std::string session_user(std::string_view cookie_header);  // "" when nobody

// Body of /reviews/ID. stars: of both reviewers, -1 when ratings could not be had.
struct ReviewsLook {
  bool ratings = false;       // v1 shows none
  std::string color = "black";
};
std::string reviews_json(long long product, const std::string& pod, const std::string& cluster, const ReviewsLook& look,
                         int stars1, int stars2);

}  // namespace fairlead::sample
