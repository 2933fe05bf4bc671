// envoy.filters.http.header_mutation: adds and removes header fields of requests and answers, in the order given.
#include "proxy/header_mutation.h"

#include <variant>

#include "base/strings.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "proxy/config/compile_headers.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::header_mutation::v3;
using Step = std::variant<std::string, HeaderMutation::Add>;  // a name to remove, or a field to add

struct Mutations : RouteFilter {
  std::vector<Step> request, response;
};

class MutateHeaders final : public Filter {
 public:
  MutateHeaders(std::string name, std::shared_ptr<const Mutations> own) : Filter(std::move(name), kRequest | kResponse), own_(std::move(own)) {}

  Next on_request(Exchange& x) const override {
    RequestHeaders& to = x.request();
    each(x, &Mutations::request, [&](const Step& step) {
      if (const auto* name = std::get_if<std::string>(&step)) to.fields.remove(*name);
      else add_request_header(std::get<HeaderMutation::Add>(step), to, x.info());
    });
    return Next::kGoOn;
  }

  void on_response(Exchange& x, bool) const override {
    HeaderMap& to = x.response().fields;
    each(x, &Mutations::response, [&](const Step& step) {
      if (const auto* name = std::get_if<std::string>(&step)) to.remove(*name);
      else add_header(std::get<HeaderMutation::Add>(step), to, x.info());
    });
  }

 private:
  // The filter's own first, then what the route says.
  template <class Do>
  void each(Exchange& x, std::vector<Step> Mutations::* list, const Do& what) const {
    for (const Step& step : (*own_).*list) what(step);
    if (const auto* more = static_cast<const Mutations*>(x.route_filter(*this)))
      for (const Step& step : more->*list) what(step);
  }

  std::shared_ptr<const Mutations> own_;
};

std::vector<Step> steps(const CompileContext& parent, std::string_view field, const auto& list) {
  std::vector<Step> out;
  int i = 0;
  for (const auto& from : list) {
    CompileContext at = parent.at(field, i++);
    if (from.has_append()) out.emplace_back(compile_header_option(at.at("append"), from.append()));
    else if (!from.remove().empty()) out.emplace_back(base::to_lower(from.remove()));
    else at.refuse("remove or append is required");
  }
  return out;
}

std::shared_ptr<const Mutations> mutations(const CompileContext& parent, const pb::Mutations& from) {
  CompileContext at = parent.at("mutations");
  auto m = std::make_shared<Mutations>();
  m->request = steps(at, "request_mutations", from.request_mutations());
  m->response = steps(at, "response_mutations", from.response_mutations());
  return m;
}

}  // namespace

const FilterType kHeaderMutationFilter = {
    "envoy.filters.http.header_mutation", "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      return std::make_shared<MutateHeaders>(source.name, source.type.empty() ? std::make_shared<const Mutations>()
                                                                              : mutations(at, unpack<pb::HeaderMutation>(at, *source.any).mutations()));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> {
      return mutations(at, unpack<pb::HeaderMutationPerRoute>(at, *source.any).mutations());
    }};

}  // namespace fairlead::proxy
