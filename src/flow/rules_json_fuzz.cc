// Any bytes as a document of rules of each kind, as a regular expression or a pattern of paths and its text. What was read is printed and read again.
#include <algorithm>
#include <cstdlib>

#include "flow/gateway.h"
#include "flow/regex.h"
#include "flow/rules_json.h"

namespace {

template <class Rule>
void read(std::string_view text) {
  const auto first = fairlead::flow::read_rules<Rule>(text);
  const std::string printed = fairlead::flow::print_rules(first.rules);
  const auto second = fairlead::flow::read_rules<Rule>(printed);
  if (!second.faults.empty() || second.plain() != first.plain() || fairlead::flow::print_rules(second.rules) != printed) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read<fairlead::flow::FlowRule>(text);
  read<fairlead::flow::DegradeRule>(text);
  read<fairlead::flow::AuthorityRule>(text);
  read<fairlead::flow::SystemRule>(text);
  read<fairlead::flow::ParamFlowRule>(text);
  read<fairlead::flow::GatewayFlowRule>(text);
  read<fairlead::flow::ApiDefinition>(text);
  std::string problem;
  const std::size_t line = std::min(text.find('\n'), text.size());
  if (const auto regex = fairlead::flow::Regex::compile(text.substr(0, line), problem)) regex->matches(text.substr(line));
  if (const auto path = fairlead::flow::PathPattern::compile(text.substr(0, line), problem)) path->matches(text.substr(line));
  return 0;
}
