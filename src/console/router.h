// Router: finds the handler of a request, and refuses what must not reach one: no session, another origin, a role that is too low, a
// body that is no JSON or too long.
//
// Loop thread only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "console/request.h"

namespace fairlead::console {

enum class Access : std::uint8_t {
  Open,     // anybody
  Session,  // whoever is logged in
  Editor,   // who may edit the app that the pattern's first {} names
  Admin,
};

class Router {
 public:
  static constexpr std::size_t kMaxBody = 8u << 20;
  using Handler = std::function<void(const RequestPtr&)>;

  Router(Accounts& accounts, std::string cookie_name) : accounts_(accounts), cookie_name_(std::move(cookie_name)) {}

  // "/api/apps/{}/rules/{}"; each {} takes one segment.
  void add(std::string_view method, std::string_view pattern, Access access, Handler handler);
  // What no pattern takes: pages.
  void otherwise(Handler handler) { otherwise_ = std::move(handler); }
  void serve(std::shared_ptr<http::Exchange> exchange) const;
  std::vector<std::pair<std::string, std::string>> routes() const;  // method and pattern
  std::string_view cookie_name() const { return cookie_name_; }

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Access access;
    Handler handler;
  };
  void admit(const RequestPtr& request, const Route& route) const;

  Accounts& accounts_;
  std::string cookie_name_;
  std::vector<Route> routes_;
  Handler otherwise_;
};

}  // namespace fairlead::console
