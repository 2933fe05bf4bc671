// flow.fairlead.dev: what makes a rule invalid is the engine's to say (flow/rules.h).
#include "flow/rules_json.h"
#include "mesh/rules.h"

namespace fairlead::mesh {

using base::Value;

namespace {

template <class Rule>
void check_rules(const Value& rules, const At& at, Problems& out) {
  const auto list = flow::read_rules<Rule>(rules.dump());
  for (const flow::RuleFault& fault : list.faults) {
    if (fault.index < 0 || static_cast<size_t>(fault.index) >= rules.size()) {
      at.invalid(rules, fault.remedy);
      continue;
    }
    const Value& rule = rules[static_cast<size_t>(fault.index)];
    const At here = at[static_cast<size_t>(fault.index)];
    if (fault.field.empty()) {
      here.invalid(rule, fault.remedy);
    } else if (const Value* value = rule.find(fault.field)) {
      (here / fault.field).invalid(*value, fault.remedy);
    } else if (fault.field.find_first_of(".[") != std::string::npos) {
      out.push_back({Cause::kInvalid, (here / fault.field).path(), "Invalid value: " + fault.remedy, "", rule.position});
    } else {
      (here / fault.field).required(rule, fault.remedy);
    }
  }
}

}  // namespace

void validate_flow(const Kind& kind, const Value& object, Problems& out) {
  const Value& spec = object["spec"];
  const At at = At(out, "spec");
  if (!spec["app"].as_string().empty() && !spec["selector"].is_null()) (at / "app").forbidden(spec["app"], "may not be given together with selector; app: x means the label app=x");
  for (const auto& label : spec["selector"]["matchLabels"].members()) {
    if (const char* error = qualified_name_error(label.key)) (at / "selector.matchLabels").invalid(Value(label.key), error);
    if (const char* error = label_value_error(label.value.as_string())) (at / "selector.matchLabels").invalid(label.value, error);
  }
  const Value& rules = spec["rules"];
  if (!rules.is_array()) return;
  const At here = at / "rules";
  if (kind.kind == "FlowRule") check_rules<flow::FlowRule>(rules, here, out);
  else if (kind.kind == "DegradeRule") check_rules<flow::DegradeRule>(rules, here, out);
  else if (kind.kind == "ParamFlowRule") check_rules<flow::ParamFlowRule>(rules, here, out);
  else if (kind.kind == "SystemRule") check_rules<flow::SystemRule>(rules, here, out);
  else if (kind.kind == "AuthorityRule") check_rules<flow::AuthorityRule>(rules, here, out);
  else if (kind.kind == "GatewayFlowRule") check_rules<flow::GatewayFlowRule>(rules, here, out);
  else check_rules<flow::ApiDefinition>(rules, here, out);
  const Value& parameters = spec["parameters"];
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].size() != 1) (at / "parameters")[i].invalid(parameters[i], "one of header, query, cookie, pathVariable, address is expected");
}

}  // namespace fairlead::mesh
