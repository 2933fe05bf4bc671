#include "proxy/config/route_index.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

Route route(PathMatch::Kind kind, std::string text, bool ignore_case = false) {
  Route r;
  r.path.kind = kind;
  r.path.ignore_case = ignore_case;
  if (kind == PathMatch::Kind::kRegex) r.path.regex = Regex::compile(text, nullptr);
  r.path.text = std::move(text);
  return r;
}

// Whatever the index says, the first route in order that matches is the one.
TEST(RouteIndex, FindsWhatTryingEachWouldFind) {
  using Kind = PathMatch::Kind;
  std::vector<Route> routes;
  for (int i = 0; i < 40; ++i) {
    std::string n = std::to_string(i % 7);
    routes.push_back(route(Kind::kExact, "/a/" + std::to_string(i)));
    routes.push_back(route(Kind::kRegex, "/r" + n + "/[ab]+" + std::string(static_cast<size_t>(i % 3), 'c')));
    routes.push_back(route(Kind::kPrefix, "/p" + n + std::string(static_cast<size_t>(i % 4), '/')));
    routes.push_back(route(Kind::kSeparatedPrefix, "/s/" + n));
    if (i % 10 == 0) routes.push_back(route(Kind::kPrefix, "/Case" + n, true));
  }
  routes.push_back(route(Kind::kConnect, ""));
  routes.push_back(route(Kind::kPrefix, ""));
  auto index = RouteIndex::make(routes);
  ASSERT_TRUE(index);
  for (std::string path : {"/a/3", "/a/39", "/a/40", "/r3/ab", "/r3/abcc", "/r6/bc", "/p1", "/p1//x", "/p6///", "/s/4", "/s/4/x", "/s/44", "/case0/x", "/", "", "*", "/r1/"}) {
    for (std::string_view method : {"GET", "CONNECT"}) {
      auto takes = [&](const Route& r) { return r.path.matches(path, method); };
      const Route* expected = nullptr;
      for (const Route& r : routes)
        if (!expected && takes(r)) expected = &r;
      EXPECT_EQ(index->find(routes, path, takes), expected) << method << " " << path;
    }
  }
}

TEST(RouteIndex, GoesOnWhenTheFirstCandidateIsNotTaken) {
  std::vector<Route> routes;
  for (int i = 0; i < 30; ++i) routes.push_back(route(PathMatch::Kind::kExact, "/same"));
  auto index = RouteIndex::make(routes);
  ASSERT_TRUE(index);
  EXPECT_EQ(index->find(routes, "/same", [&](const Route& r) { return &r == &routes[17]; }), &routes[17]);
  EXPECT_EQ(index->find(routes, "/same", [](const Route&) { return false; }), nullptr);
}

TEST(RouteIndex, FewRoutesNeedNone) {
  std::vector<Route> routes(3);
  EXPECT_EQ(RouteIndex::make(routes), nullptr);
}

}  // namespace
}  // namespace fairlead::proxy
