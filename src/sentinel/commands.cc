#include "sentinel/commands.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <type_traits>

#include "base/log.h"
#include "base/strings.h"
#include "flow/json.h"
#include "sentinel/utf8.h"

namespace fairlead::sentinel {
namespace {

using flow::Statistics;

constexpr std::string_view kDefaultContext = "sentinel_default_context";
constexpr std::size_t kMaxNameWidth = 79;

Answer refuse(std::string text) { return {.status = 400, .body = std::move(text)}; }

std::string_view value(const Parameters& parameters, std::string_view name) {
  const auto at = parameters.find(name);
  return at == parameters.end() ? std::string_view() : std::string_view(at->second);
}

std::string decimal(double number) {
  std::string text;
  flow::append_json_number(text, number);
  return text;
}
std::string decimal(std::int64_t number) { return decimal(static_cast<double>(number)); }

std::int64_t total(const Statistics& s) { return s.pass + s.block; }
std::int64_t minute_total(const Statistics& s) { return s.minute_pass + s.minute_block; }

// A name within a text for people: on one line.
std::string shown(std::string_view name) {
  std::string text = to_utf8(name);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '_';
  return text;
}

void cell(std::string& out, std::string_view text, std::size_t width) {
  out += text;
  const std::size_t length = utf8_length(text);
  if (length < width) out.append(width - length, ' ');
}

// Rows as String.format writes them with these widths; the name is the second column, as wide as the longest, and continued on
// rows of its own if it is longer than kMaxNameWidth.
class Table {
 public:
  Table(std::span<const std::size_t> widths, std::size_t longest_name) : widths_(widths), name_width_(std::min(longest_name, kMaxNameWidth)) {}

  void head(std::string& out, std::span<const std::string_view> names) const {
    for (std::size_t i = 0; i < names.size(); ++i) cell(out, names[i], width(i));
    out += '\n';
  }
  void row(std::string& out, std::span<const std::string> cells) const {
    const std::string_view name = cells[1];
    for (std::size_t i = 0; i < cells.size(); ++i) cell(out, i == 1 ? utf8_part(name, 0, name_width_) : std::string_view(cells[i]), width(i));
    out += '\n';
    for (std::size_t j = 1; name_width_ * j < utf8_length(name); ++j) {
      for (std::size_t i = 0; i < cells.size(); ++i) cell(out, i == 1 ? utf8_part(name, name_width_ * j, name_width_) : std::string_view(), width(i));
      out += '\n';
    }
  }

 private:
  std::size_t width(std::size_t column) const { return column == 1 ? name_width_ + 1 : widths_[column]; }

  std::span<const std::size_t> widths_;
  std::size_t name_width_;
};

// `entrances`: how many levels from here on are entrances.
void visit(std::string& out, const flow::StatisticsTree& node, int entrances, std::size_t level = 0) {
  const Statistics& s = node.values;
  out.append(level, '-');
  if (entrances > 0) out += "EntranceNode: ";
  out += fmt::format("{}(t:{} pq:{} bq:{} tq:{} rt:{} prq:{} 1mp:{} 1mb:{} 1mt:{})\n", shown(node.name), s.threads, decimal(s.pass), decimal(s.block), decimal(total(s)),
                     decimal(s.average_rt_ms), decimal(s.success), s.minute_pass, s.minute_block, minute_total(s));
  for (const flow::StatisticsTree& child : node.children) visit(out, child, entrances - 1, level + 1);
}

template <class Rule>
constexpr std::string_view kKind = "";
template <>
constexpr std::string_view kKind<flow::FlowRule> = "flow";
template <>
constexpr std::string_view kKind<flow::DegradeRule> = "degrade";
template <>
constexpr std::string_view kKind<flow::AuthorityRule> = "authority";
template <>
constexpr std::string_view kKind<flow::SystemRule> = "system";
template <>
constexpr std::string_view kKind<flow::ParamFlowRule> = "parameter flow";
template <>
constexpr std::string_view kKind<flow::GatewayFlowRule> = "gateway";
template <>
constexpr std::string_view kKind<flow::ApiDefinition> = "gateway API definition";

}  // namespace

void read_parameters(std::string_view text, Parameters& out) {
  text = text.substr(0, text.find('#'));
  std::size_t seen = 0;
  while (!text.empty() && seen < kMaxParameters) {
    const std::size_t end = text.find('&');
    const std::string_view piece = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == piece.size()) continue;
    ++seen;
    out.insert_or_assign(base::url_decode(base::trim(piece.substr(0, equals)), true), base::url_decode(base::trim(piece.substr(equals + 1)), true));
  }
}

struct Commands::Command {
  std::string_view name, about;
  Answer (Commands::*run)(const Parameters&);
};

const std::vector<Commands::Command>& Commands::commands() {
  using C = Commands;
  static const std::vector<Command> list{
      {"version", "the version of Sentinel that is spoken", nullptr},
      {"api", "the commands", &C::api},
      {"basicInfo", "name and address of the machine", &C::basic_info},
      {"clusterNode", "figures of all resources; type=notZero: of those that were called in the last minute", &C::cluster_node},
      {"clusterNodeById", "figures of one resource; id={resource}", &C::cluster_node_by_id},
      {"cnode", "figures of resources as a table; id={part of the name}", &C::cnode},
      {"origin", "figures of one resource by origin as a table; id={resource}", &C::origin},
      {"tree", "the entrance tree as text; id={entrance}: of one entrance", &C::tree},
      {"jsonTree", "the entrance tree", &C::json_tree},
      {"systemStatus", "figures of all inbound calls", &C::system_status},
      {"metric", "seconds of the metric log; startTime={ms} with endTime={ms} and identity={resource}, or with maxLines={lines}", &C::metric},
      {"getRules", "the rules of a type; type={flow|degrade|system|authority}", &C::get_rules},
      {"setRules", "replaces the rules of a type; type={type}&data={rules as JSON}", &C::set_rules},
      {"getParamFlowRules", "the parameter rules", &C::held<flow::ParamFlowRule>},
      {"setParamFlowRules", "replaces the parameter rules; data={rules as JSON}", &C::replace<flow::ParamFlowRule>},
      {"gateway/getRules", "the gateway rules", &C::held<flow::GatewayFlowRule>},
      {"gateway/updateRules", "replaces the gateway rules; data={rules as JSON}", &C::replace<flow::GatewayFlowRule>},
      {"gateway/getApiDefinitions", "the gateway's groups of paths", &C::held<flow::ApiDefinition>},
      {"gateway/updateApiDefinitions", "replaces the gateway's groups of paths; data={definitions as JSON}", &C::replace<flow::ApiDefinition>},
      {"getSwitch", "whether calls are checked", &C::get_switch},
      {"setSwitch", "turns checking on and off; value={true|false}", &C::set_switch},
      {"getClusterMode", "the cluster mode", &C::get_cluster_mode},
      {"setClusterMode", "sets the cluster mode; mode={0|1}", &C::set_cluster_mode},
  };
  return list;
}

Commands::Commands(flow::Engine& engine, Options options) : engine_(engine), options_(std::move(options)) {}

Answer Commands::serve(const CommandRequest& request) {
  std::string_view target = request.target;
  if (target.starts_with('/')) target.remove_prefix(1);
  const std::size_t query = std::min(target.find('?'), target.size());
  Parameters parameters;
  if (query < target.size()) read_parameters(target.substr(query + 1), parameters);
  if (base::iequals(request.method, "POST")) {
    if (request.has_content_type && base::to_lower(request.content_type.substr(0, request.content_type.find(';'))).find("application/x-www-form-urlencoded") == std::string::npos)
      return {.status = 415, .body = "Only form-encoded post request is supported"};
    if (request.body.empty()) return {.status = 411, .body = "No legal Content-Length"};
    read_parameters(request.body, parameters);
  }
  return run(target.substr(0, query), parameters);
}

Answer Commands::run(std::string_view name, const Parameters& parameters) {
  if (base::trim(name).empty()) return refuse("Invalid command");
  const std::scoped_lock lock(mutex_);
  for (const Command& command : commands())
    if (command.name == name) return command.run != nullptr ? (this->*command.run)(parameters) : Answer{.body = std::string(kSentinelVersion)};
  return refuse("Unknown command `" + shown(name.substr(0, 200)) + '`');
}

Answer Commands::api(const Parameters&) {
  std::string out = "[";
  for (const Command& command : commands()) {
    if (out.size() > 1) out += ',';
    out += "{\"url\":\"/";
    out += command.name;
    out += "\",\"desc\":";
    flow::append_json_text(out, command.about);
    out += '}';
  }
  return {.body = out + ']'};
}

Answer Commands::basic_info(const Parameters&) {
  std::string out = "{\n\t\"machine\": ";
  flow::append_json_text(out, options_.host);
  out += ",\n\t\"ip\": ";
  flow::append_json_text(out, options_.ip);
  return {.body = out + "\n}"};
}

// --- rules

template <class Rule>
Answer Commands::held(const Parameters&) {
  const auto& set = std::get<std::vector<flow::ListedRule<Rule>>>(set_);
  if constexpr (std::is_same_v<Rule, flow::ApiDefinition>) {
    return {.body = flow::print_rules(set)};
  } else {
    // The engine says which rules hold; what was set has their other members.
    std::vector<flow::ListedRule<Rule>> out;
    std::size_t at = 0;  // both are in the same order, but for rules that the engine took once
    for (Rule& rule : engine_.rules<Rule>()) {
      std::size_t i = 0;
      while (i < set.size() && !(set[(at + i) % set.size()].rule == rule)) ++i;
      std::string others;
      if (i < set.size()) {
        at = (at + i) % set.size();
        others = set[at++].others;
      }
      out.push_back({.rule = std::move(rule), .index = 0, .others = std::move(others)});
    }
    return {.body = flow::print_rules(out)};
  }
}

template <class Rule>
Answer Commands::replace(const Parameters& parameters) {
  std::string data(base::trim(value(parameters, "data")));
  if (data.empty()) return refuse("Bad data");
  if (options_.refuse_rules)
    if (const std::string why = options_.refuse_rules(kKind<Rule>); !why.empty()) return refuse(why);
  // Some dashboards encode the rules once more than the form does.
  if (data[0] != '[') data = std::string(base::trim(base::url_decode(data, true)));
  auto list = flow::read_rules<Rule>(data);
  if (!data.starts_with('[') && list.faults.empty()) return refuse("the document must be a list of rules: [{...}, {...}]");
  if (!list.faults.empty()) {
    std::string text;
    for (std::size_t i = 0; i < std::min(list.faults.size(), kMaxFaultsAnswered); ++i) text += list.faults[i].sentence() + "\n";
    if (list.faults.size() > kMaxFaultsAnswered) text += fmt::format("and {} more\n", list.faults.size() - kMaxFaultsAnswered);
    FL_LOG_WARN("sentinel", "{} rules are refused, the old ones stay: {}", kKind<Rule>, shown(list.faults[0].sentence()));
    return refuse(to_utf8(text));
  }
  for (const flow::RuleFault& note : list.notes) FL_LOG_DEBUG("sentinel", "{} rules: {}", kKind<Rule>, shown(note.sentence()));
  FL_LOG_INFO("sentinel", "{} {} rules set by a command", list.rules.size(), kKind<Rule>);
  if constexpr (!std::is_same_v<Rule, flow::ApiDefinition>)
    for (const std::string& note : engine_.load(list.plain())) FL_LOG_WARN("sentinel", "{} rules: {}", kKind<Rule>, shown(note));
  std::get<std::vector<flow::ListedRule<Rule>>>(set_) = std::move(list.rules);
  if constexpr (std::is_same_v<Rule, flow::ApiDefinition> || std::is_same_v<Rule, flow::GatewayFlowRule>) {
    if (options_.on_gateway) {
      std::vector<flow::ApiDefinition> apis;
      for (const auto& each : std::get<std::vector<flow::ListedRule<flow::ApiDefinition>>>(set_)) apis.push_back(each.rule);
      options_.on_gateway(engine_.rules<flow::GatewayFlowRule>(), apis);
    }
  }
  return {.body = "success"};
}

Answer Commands::get_rules(const Parameters& parameters) {
  const std::string_view type = value(parameters, "type");
  if (base::iequals(type, "flow")) return held<flow::FlowRule>(parameters);
  if (base::iequals(type, "degrade")) return held<flow::DegradeRule>(parameters);
  if (base::iequals(type, "authority")) return held<flow::AuthorityRule>(parameters);
  if (base::iequals(type, "system")) return held<flow::SystemRule>(parameters);
  return refuse("invalid type");
}

Answer Commands::set_rules(const Parameters& parameters) {
  const std::string_view type = value(parameters, "type");
  if (base::iequals(type, "flow")) return replace<flow::FlowRule>(parameters);
  if (base::iequals(type, "degrade")) return replace<flow::DegradeRule>(parameters);
  if (base::iequals(type, "authority")) return replace<flow::AuthorityRule>(parameters);
  if (base::iequals(type, "system")) return replace<flow::SystemRule>(parameters);
  return refuse("invalid type");
}

// --- figures

std::string Commands::fresh_id() {
  const auto high = random_(), low = random_();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xFFFF, high & 0xFFF, (low >> 48 & 0x3FFF) | 0x8000, low & 0xFFFFFFFFFFFF);
}

// As fastjson prints NodeVo: by name, without what is not set.
std::string Commands::node(std::string_view name, const Statistics& s, std::string_view id, std::string_view parent) const {
  std::string out = fmt::format("{{\"averageRt\":{},\"blockQps\":{},\"exceptionQps\":{},", static_cast<std::int64_t>(s.average_rt_ms), s.block, s.exception);
  if (!id.empty()) out += fmt::format("\"id\":\"{}\",", id);
  out += fmt::format("\"oneMinuteBlock\":{},\"oneMinuteException\":{},\"oneMinutePass\":{},\"oneMinuteTotal\":{},", s.minute_block, s.minute_exception, s.minute_pass, minute_total(s));
  if (!parent.empty()) out += fmt::format("\"parentId\":\"{}\",", parent);
  out += fmt::format("\"passQps\":{},\"resource\":", s.pass);
  flow::append_json_text(out, to_utf8(name));
  out += fmt::format(",\"successQps\":{},\"threadNum\":{},\"timestamp\":{},\"totalQps\":{}}}", s.success, s.threads, engine_.now(), total(s));
  return out;
}

Answer Commands::cluster_node(const Parameters& parameters) {
  const bool called = base::iequals(value(parameters, "type"), "notZero");
  std::string out = "[";
  for (const flow::NamedStatistics& each : engine_.statistics()) {
    if (called && minute_total(each.values) <= 0) continue;
    if (out.size() > 1) out += ',';
    out += node(each.name, each.values, {}, {});
  }
  return {.body = out + ']'};
}

Answer Commands::cluster_node_by_id(const Parameters& parameters) {
  const std::string_view id = value(parameters, "id");
  if (id.empty()) return refuse("Invalid parameter: empty clusterNode name");
  const auto found = engine_.statistics(id);
  return {.body = found ? node(id, *found, {}, {}) : "{}"};
}

Answer Commands::cnode(const Parameters& parameters) {
  static constexpr std::array<std::size_t, 12> kWidths{4, 0, 10, 10, 10, 11, 9, 6, 10, 11, 9, 11};
  static constexpr std::array<std::string_view, 12> kHead{"idx", "id", "thread", "pass", "blocked", "success", "total", "aRt", "1m-pass", "1m-block", "1m-all", "exception"};
  const std::string_view part = value(parameters, "id");
  if (part.empty()) return refuse("Invalid parameter: empty clusterNode name");
  constexpr std::size_t kMaxRows = 30;
  std::vector<flow::NamedStatistics> found = engine_.statistics();
  std::erase_if(found, [&](const auto& each) { return each.name.find(part) == std::string::npos; });
  if (found.size() > kMaxRows) found.resize(kMaxRows);
  std::size_t longest = 0;
  for (auto& each : found) longest = std::max(longest, utf8_length(each.name = shown(each.name)));
  const Table table(kWidths, longest);
  std::string out;
  table.head(out, kHead);
  std::size_t index = found.size();  // Sentinel counts the rows on from their number
  for (const auto& [name, s] : found)
    table.row(out, std::array<std::string, 12>{std::to_string(++index), name, std::to_string(s.threads), decimal(s.pass), decimal(s.block), decimal(s.success), decimal(total(s)),
                                               decimal(s.average_rt_ms), std::to_string(s.minute_pass), std::to_string(s.minute_block), std::to_string(minute_total(s)), decimal(s.exception)});
  return {.body = std::move(out)};
}

Answer Commands::origin(const Parameters& parameters) {
  static constexpr std::array<std::size_t, 10> kWidths{4, 0, 10, 10, 11, 9, 6, 10, 11, 9};
  static constexpr std::array<std::string_view, 10> kHead{"idx", "origin", "threadNum", "passQps", "blockQps", "totalQps", "aRt", "1m-pass", "1m-block", "1m-total"};
  constexpr std::size_t kMaxRows = 30;
  const std::string_view id = value(parameters, "id");
  std::string name;
  if (!id.empty() && engine_.statistics(id)) {
    name = id;
  } else if (!id.empty()) {
    // A part of the name that it does not begin with, as Sentinel looks for it.
    for (const auto& each : engine_.statistics())
      if (const std::size_t at = each.name.find(id); at != 0 && at != std::string::npos) {
        name = each.name;
        break;
      }
  }
  if (name.empty()) return {.body = "Not find cNode with id " + (id.empty() ? "null" : shown(id))};
  auto origins = engine_.origins(name);
  if (origins.size() > kMaxRows) origins.resize(kMaxRows);
  std::size_t longest = 0, index = 0;
  for (auto& each : origins) longest = std::max(longest, utf8_length(each.name = shown(each.name)));
  const Table table(kWidths, longest);
  std::string rows;
  table.head(rows, kHead);
  for (const auto& [origin, s] : origins)
    table.row(rows, std::array<std::string, 10>{std::to_string(++index), origin, std::to_string(s.threads), decimal(s.pass), decimal(s.block), decimal(total(s)), decimal(s.average_rt_ms),
                                                std::to_string(s.minute_pass), std::to_string(s.minute_block), std::to_string(minute_total(s))});
  return {.body = "id: " + shown(name) + "\n\n" + rows};
}

// The default context is there from the first call on, as in Sentinel, also if none went through it.
flow::StatisticsTree Commands::whole_tree() const {
  flow::StatisticsTree root = engine_.tree();
  const auto at = std::lower_bound(root.children.begin(), root.children.end(), kDefaultContext, [](const auto& each, std::string_view name) { return each.name < name; });
  if (!root.children.empty() && (at == root.children.end() || at->name != kDefaultContext)) root.children.insert(at, {.name = std::string(kDefaultContext), .values = {}, .children = {}});
  return root;
}

Answer Commands::tree(const Parameters& parameters) {
  const std::string_view id = value(parameters, "id");
  const flow::StatisticsTree root = whole_tree();
  std::string out;
  if (id.empty()) {
    visit(out, root, 2);
  } else {
    const auto exact = std::find_if(root.children.begin(), root.children.end(), [&](const auto& each) { return each.name == id; });
    for (const auto& each : root.children)
      if (exact != root.children.end() ? &each == &*exact : each.name.find(id) != std::string::npos) visit(out, each, 1);
  }
  return {.body = out + "\r\n\r\nt:threadNum  pq:passQps  bq:blockQps  tq:totalQps  rt:averageRt  prq: passRequestQps 1mp:1m-pass 1mb:1m-block 1mt:1m-total\r\n"};
}

Answer Commands::json_tree(const Parameters&) {
  std::string out = "[";
  const auto visit = [&](const auto& self, const flow::StatisticsTree& each, std::string_view parent, int level) -> void {
    if (out.size() > 1) out += ',';
    const std::string id = fresh_id();
    Statistics values = each.values;
    if (level < 2) values.exception = values.minute_exception = 0;  // Sentinel counts none for entrances
    out += node(each.name, values, id, parent);
    for (const auto& child : each.children) self(self, child, id, level + 1);
  };
  visit(visit, whole_tree(), {}, 0);
  return {.body = out + ']'};
}

Answer Commands::system_status(const Parameters&) {
  const Statistics s = engine_.inbound_statistics();
  return {.body = fmt::format("{{\"b\":{},\"r\":{},\"t\":{},\"qps\":{},\"rqps\":{}}}", decimal(s.block), decimal(s.average_rt_ms), s.threads, decimal(s.pass), decimal(s.success))};
}

Answer Commands::metric(const Parameters& parameters) {
  constexpr std::int64_t kMaxLines = 12'000;
  const auto whole = [&](std::string_view name) { return base::to_int(value(parameters, name)); };
  MetricQuery query;
  if (base::trim(value(parameters, "startTime")).empty()) return {};
  const auto begin = whole("startTime");
  if (!begin) return {.status = 500, .body = "Command server error"};
  query.begin_ms = *begin;
  const std::string_view identity = value(parameters, "identity");
  if (!base::trim(value(parameters, "endTime")).empty()) {
    const auto end = whole("endTime");
    if (!end) return refuse("Error when retrieving metrics");
    query.end_ms = *end;
    if (!identity.empty()) query.identity = identity;
  } else if (!base::trim(value(parameters, "maxLines")).empty()) {
    const auto most = whole("maxLines");
    if (!most || *most < 0) return refuse("Error when retrieving metrics");
    query.max_lines = static_cast<std::size_t>(std::min(*most, static_cast<long long>(kMaxLines)));
  }
  std::string out;
  const auto add = [&out](const MetricLine& line) {
    append_thin(out, line);
    out += '\n';
  };
  if (options_.metrics)
    for (const MetricLine& line : options_.metrics(query)) add(line);
  if (base::trim(identity).empty()) {
    const std::int64_t now = engine_.now() / 1000 * 1000;
    for (const auto& [name, measured] : {std::pair{kLoadResource, engine_.system_load()}, std::pair{kCpuResource, engine_.cpu_usage()}})
      if (measured > 0) add({.values = {.time_ms = now, .resource = std::string(name), .pass = static_cast<std::int64_t>(measured * 10'000)}});
  }
  return {.body = std::move(out)};
}

// --- switches

Answer Commands::get_switch(const Parameters&) { return {.body = std::string("Sentinel switch value: ") + (engine_.on() ? "true" : "false")}; }

Answer Commands::set_switch(const Parameters& parameters) {
  const std::string_view to = value(parameters, "value");
  const bool on = base::iequals(to, "true");
  // Sentinel takes anything else for false; nobody shall lose all checks by a slip.
  if (!on && !base::iequals(to, "false")) return refuse("value must be true or false");
  engine_.set_on(on);
  FL_LOG_WARN("sentinel", "checking of calls is switched {} by a command", on ? "on" : "off");
  return {.body = "Sentinel set switch value: " + std::string(to)};
}

// There is no token server or client here, as in a Java client without those modules.
Answer Commands::get_cluster_mode(const Parameters&) { return {.body = R"({"mode":-1,"clientAvailable":false,"serverAvailable":false,"lastModified":-1})"}; }

Answer Commands::set_cluster_mode(const Parameters& parameters) {
  const auto mode = base::to_int(value(parameters, "mode"));
  if (!mode || *mode < std::numeric_limits<std::int32_t>::min() || *mode > std::numeric_limits<std::int32_t>::max()) return refuse("invalid parameter");
  if (*mode == 0) return refuse("token client mode not available: no SPI found");
  if (*mode == 1) return refuse("token server mode not available: no SPI found");
  return {.body = "success"};
}

}  // namespace fairlead::sentinel
