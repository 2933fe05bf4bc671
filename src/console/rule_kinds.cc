#include "console/rule_kinds.h"

#include "base/strings.h"

namespace fairlead::console {

using base::Value;
using store::RuleKind;

namespace {

struct Option {
  Value value;
  Text title;
};

Value text(const Text& t) { return Value::object({{"en", t.en}, {"zh", t.zh}}); }

// One field, filled in by the chained calls below.
class Field {
 public:
  Field(std::string_view name, std::string_view type, Text title, Text help) {
    value_ = Value::object({{"name", name}, {"type", type}, {"title", text(title)}, {"help", text(help)}, {"default", nullptr}, {"required", false}});
    value_.set("column", false);
  }
  Field&& with_default(Value v) && { return set("default", std::move(v)); }
  Field&& required() && { return set("required", true); }
  Field&& column() && { return set("column", true); }
  Field&& min(double v) && { return set("min", v); }
  Field&& range(double low, double high) && {
    value_.set("min", low);
    return set("max", high);
  }
  Field&& unit(Text t) && { return set("unit", text(t)); }
  Field&& options(std::initializer_list<Option> all) && {
    Value list = Value::array();
    for (const Option& o : all) list.push(Value::object({{"value", o.value}, {"title", text(o.title)}}));
    return set("options", std::move(list));
  }
  Field&& items(std::initializer_list<Field> all) && {
    Value list = Value::array();
    for (const Field& f : all) list.push(f.value_);
    return set("items", std::move(list));
  }
  Field&& shown_when(std::string_view field, std::initializer_list<Value> in) && {
    Value* all = value_.find("shown_when");
    if (!all) all = &value_.set("shown_when", Value::array()).operator[]("shown_when");
    all->push(Value::object({{"field", field}, {"in", Value::array(in)}}));
    return std::move(*this);
  }
  const Value& value() const { return value_; }

 private:
  Field&& set(std::string_view key, Value v) {
    value_.set(key, std::move(v));
    return std::move(*this);
  }
  Value value_;
};

constexpr Text kMs{"ms", "毫秒"};
constexpr Text kSeconds{"s", "秒"};

Field resource(Text help) { return Field("resource", "string", {"Resource", "资源名"}, help).required().column(); }

Field regex() {
  return Field("regex", "boolean", {"Regular expression", "正则匹配"}, {"The resource is an expression; the rule holds for each resource whose whole name it matches", "资源名作为正则表达式，对名称完全匹配的每个资源生效"})
      .with_default(false);
}

Field limit_app(Text help) { return Field("limitApp", "string", {"Origin", "针对来源"}, help).with_default("default").column(); }

Field cluster_mode() {
  return Field("clusterMode", "boolean", {"Cluster mode", "是否集群"}, {"The threshold is asked of a token server", "阈值由 Token Server 统一判断"}).with_default(false);
}

Field cluster(std::string_view name, std::string_view type, Text title, Text help) {
  return Field(std::string("clusterConfig.").append(name), type, title, help).shown_when("clusterMode", {true});
}

Field threshold_type() {
  return cluster("thresholdType", "enum", {"Threshold of", "集群阈值模式"}, {"Each instance's share, or of all together", "单机均摊，或所有实例总体的阈值"})
      .with_default(0)
      .options({{0, {"each instance", "单机均摊"}}, {1, {"all together", "总体阈值"}}});
}

Value description(RuleKind kind, Text title, Text help, std::initializer_list<Field> fields) {
  Value list = Value::array();
  for (const Field& f : fields) list.push(f.value());
  return Value::object({{"kind", api_name(kind)}, {"document", store::to_string(kind)}, {"title", text(title)}, {"help", text(help)},
                        {"key", key_field(kind)}, {"fields", std::move(list)}});
}

Value flow() {
  return description(
      RuleKind::Flow, {"Flow rules", "流控规则"}, {"Limit how many calls a second, or at once, a resource takes", "限制资源每秒的请求数或并发线程数"},
      {resource({"What the client calls it; see the resources page", "客户端埋点的资源名，可在簇点链路页查看"}),
       limit_app({"An origin, \"default\" for everybody, \"other\" for those without a rule of their own", "调用来源；default 不区分来源，other 为没有单独规则的来源"}),
       Field("grade", "enum", {"Threshold type", "阈值类型"}, {"What is counted", "统计的对象"}).with_default(1).column().options({{1, {"QPS", "QPS"}}, {0, {"threads", "并发线程数"}}}),
       Field("count", "number", {"Threshold", "单机阈值"}, {"Calls above it are refused; 0 refuses all", "超过则限流；0 表示全部拒绝"}).with_default(0).required().min(0).column(),
       Field("strategy", "enum", {"Counts", "流控模式"}, {"The resource itself, another one (relate), or only calls that came by one entrance (chain)", "直接针对本资源；关联资源达到阈值时限流本资源；或只统计指定入口来的请求"})
           .with_default(0).column().options({{0, {"direct", "直接"}}, {1, {"relate", "关联"}}, {2, {"chain", "链路"}}}),
       Field("refResource", "string", {"Related resource or entrance", "关联资源 / 入口资源"}, {"Relate: the resource that is counted; chain: the entrance", "关联模式下为被统计的资源，链路模式下为入口资源"}).shown_when("strategy", {1, 2}),
       Field("controlBehavior", "enum", {"What happens above it", "流控效果"}, {"Refuse at once, let it rise slowly (warm up), queue at an even pace, or both", "快速失败、预热、排队等待，或预热后排队等待"})
           .with_default(0).column().shown_when("grade", {1})
           .options({{0, {"reject", "快速失败"}}, {1, {"warm up", "Warm Up"}}, {2, {"rate limiter", "排队等待"}}, {3, {"warm up + rate limiter", "Warm Up + 排队等待"}}}),
       Field("warmUpPeriodSec", "integer", {"Warm-up time", "预热时长"}, {"From a third of the threshold to all of it", "从阈值的三分之一升到阈值所需时间"})
           .with_default(10).min(1).unit(kSeconds).shown_when("grade", {1}).shown_when("controlBehavior", {1, 3}),
       Field("maxQueueingTimeMs", "integer", {"Longest wait", "超时时间"}, {"A call that would wait longer is refused", "预计排队时间更长的请求被拒绝"})
           .with_default(500).min(1).unit(kMs).shown_when("grade", {1}).shown_when("controlBehavior", {2, 3}),
       regex(), cluster_mode(), threshold_type(),
       cluster("flowId", "integer", {"Id", "集群规则 ID"}, {"Unique among all apps", "全局唯一"}).min(1),
       cluster("fallbackToLocalWhenFail", "boolean", {"Check locally when the server is away", "失败退化"}, {"Otherwise calls pass then", "Token Server 不可用时退化到单机限流，否则放行"}).with_default(true),
       cluster("strategy", "integer", {"Strategy", "集群策略"}, {"Only 0 is there", "目前只有 0"}).with_default(0).range(0, 0),
       cluster("sampleCount", "integer", {"Buckets", "滑动窗口格数"}, {"Of the server's window", "统计窗口的格数"}).with_default(10).min(1),
       cluster("windowIntervalMs", "integer", {"Window", "统计窗口时长"}, {"A multiple of the buckets", "须为格数的整数倍"}).with_default(1000).min(1).unit(kMs),
       cluster("resourceTimeout", "integer", {"Token time-out", "资源超时时间"}, {"Of calls at once that are never given back", "并发令牌未归还的超时时间"}).with_default(2000).min(1).unit(kMs).shown_when("grade", {0}),
       cluster("resourceTimeoutStrategy", "integer", {"After the time-out", "资源超时策略"}, {"0: the token is released", "0：释放令牌"}).with_default(0).min(0).shown_when("grade", {0}),
       cluster("acquireRefuseStrategy", "integer", {"When refused", "拒绝策略"}, {"0: the call is refused", "0：拒绝"}).with_default(0).min(0).shown_when("grade", {0}),
       cluster("clientOfflineTime", "integer", {"Client gone after", "客户端离线时间"}, {"Its tokens are released then", "超过后释放其令牌"}).with_default(2000).min(1).unit(kMs).shown_when("grade", {0})});
}

Value degrade() {
  return description(
      RuleKind::Degrade, {"Circuit breakers", "熔断规则"}, {"Stop calling what is slow or fails, and try again after a while", "对慢或异常的资源熔断，一段时间后尝试恢复"},
      {resource({"What the client calls it", "客户端埋点的资源名"}),
       Field("grade", "enum", {"Opens by", "熔断策略"}, {"What makes the breaker open", "触发熔断的条件"})
           .with_default(0).column().options({{0, {"slow-call ratio", "慢调用比例"}}, {1, {"exception ratio", "异常比例"}}, {2, {"exception count", "异常数"}}}),
       Field("count", "number", {"Threshold", "阈值"}, {"Slow calls: the RT in ms above which a call is slow; else the ratio (0 to 1) or the number of exceptions", "慢调用比例：最大 RT（毫秒）；异常比例：0 到 1；异常数：个数"}).with_default(0).required().min(0).column(),
       Field("slowRatioThreshold", "number", {"Ratio of slow calls", "比例阈值"}, {"Above this share the breaker opens", "慢调用占比超过该值则熔断"}).with_default(1.0).range(0, 1).shown_when("grade", {0}),
       Field("timeWindow", "integer", {"Open for", "熔断时长"}, {"Then one call is let through to try", "之后放行一个请求探测"}).with_default(0).required().min(1).unit(kSeconds).column(),
       Field("minRequestAmount", "integer", {"Fewest calls", "最小请求数"}, {"Below it the breaker never opens", "低于该数不会熔断"}).with_default(5).min(1).column(),
       Field("statIntervalMs", "integer", {"Counted over", "统计时长"}, {"Window of the ratio", "统计窗口"}).with_default(1000).min(1).unit(kMs).column(),
       limit_app({"Of no effect, as in Sentinel", "无作用，与 Sentinel 相同"}), regex()});
}

Value param_flow() {
  return description(
      RuleKind::ParamFlow, {"Hot parameters", "热点规则"}, {"A threshold for each value of one argument", "按某个参数的每个取值限流"},
      {resource({"Only calls that give their arguments are counted", "仅对传入参数的埋点生效"}),
       Field("paramIdx", "integer", {"Argument", "参数索引"}, {"Its position from 0; -1 is the last", "从 0 开始；-1 为最后一个"}).required().column(),
       Field("grade", "enum", {"Threshold type", "限流模式"}, {"What is counted", "统计的对象"}).with_default(1).options({{1, {"QPS", "QPS 模式"}}, {0, {"threads", "并发线程数"}}}),
       Field("count", "number", {"Threshold for each value", "单机阈值"}, {"Its whole part", "取整数部分"}).with_default(0).required().min(0).column(),
       Field("durationInSec", "integer", {"In how many seconds", "统计窗口时长"}, {"The threshold is for this time", "阈值对应的时长"}).with_default(1).min(1).unit(kSeconds).column().shown_when("grade", {1}),
       Field("controlBehavior", "enum", {"What happens above it", "流控效果"}, {"Refuse, or queue at an even pace", "快速失败或排队等待"})
           .with_default(0).shown_when("grade", {1}).options({{0, {"reject", "快速失败"}}, {2, {"rate limiter", "排队等待"}}}),
       Field("burstCount", "integer", {"Burst", "突发容量"}, {"May come at once on top", "允许额外突发的请求数"}).with_default(0).min(0).shown_when("grade", {1}).shown_when("controlBehavior", {0}),
       Field("maxQueueingTimeMs", "integer", {"Longest wait", "超时时间"}, {"A call that would wait longer is refused", "预计排队时间更长的请求被拒绝"}).with_default(0).min(0).unit(kMs).shown_when("controlBehavior", {2}),
       Field("paramFlowItemList", "list", {"Exceptions", "参数例外项"}, {"Values with a threshold of their own", "单独设置阈值的取值"})
           .with_default(Value::array())
           .items({Field("object", "string", {"Value", "参数值"}, {"As text", "文本形式"}).required(),
                   Field("classType", "enum", {"Type", "参数类型"}, {"Of the argument in the client", "客户端参数的类型"}).with_default("java.lang.String")
                       .options({{"java.lang.String", {"text", "java.lang.String"}}, {"int", {"int", "int"}}, {"long", {"long", "long"}}, {"double", {"double", "double"}},
                                 {"float", {"float", "float"}}, {"boolean", {"boolean", "boolean"}}, {"byte", {"byte", "byte"}}, {"short", {"short", "short"}}, {"char", {"char", "char"}}}),
                   Field("count", "integer", {"Threshold", "限流阈值"}, {"For this value", "该取值的阈值"}).required().min(0)}),
       limit_app({"Of no effect, as in Sentinel", "无作用，与 Sentinel 相同"}), regex(), cluster_mode(), threshold_type(),
       cluster("flowId", "integer", {"Id", "集群规则 ID"}, {"Unique among all apps", "全局唯一"}).min(1),
       cluster("fallbackToLocalWhenFail", "boolean", {"Check locally when the server is away", "失败退化"}, {"Otherwise calls pass then", "Token Server 不可用时退化到单机限流，否则放行"}).with_default(false),
       cluster("sampleCount", "integer", {"Buckets", "滑动窗口格数"}, {"Of the server's window", "统计窗口的格数"}).with_default(10).min(1),
       cluster("windowIntervalMs", "integer", {"Window", "统计窗口时长"}, {"A multiple of the buckets", "须为格数的整数倍"}).with_default(1000).min(1).unit(kMs)});
}

Value system() {
  const auto one = [](std::string_view name, std::string_view type, Text title, Text help) { return Field(name, type, title, help).with_default(-1).min(-1).column(); };
  return description(RuleKind::System, {"System rules", "系统规则"}, {"Protect a whole instance: inbound calls are refused above these; -1 means not set", "从整个实例的维度保护入口流量；-1 表示不设置"},
                     {one("highestSystemLoad", "number", {"Load", "LOAD"}, {"1-minute average", "1 分钟平均负载"}),
                      one("highestCpuUsage", "number", {"CPU", "CPU 使用率"}, {"From 0 to 1", "0 到 1"}).range(-1, 1),
                      one("avgRt", "integer", {"Average RT", "平均 RT"}, {"Of all inbound calls", "所有入口流量的平均响应时间"}).unit(kMs),
                      one("maxThread", "integer", {"Threads", "并发线程数"}, {"Inbound calls at once", "入口流量的并发数"}), one("qps", "number", {"Inbound QPS", "入口 QPS"}, {"All inbound calls of a second", "所有入口流量每秒的请求数"})});
}

Value authority() {
  return description(RuleKind::Authority, {"Authority rules", "授权规则"}, {"Which origins may call a resource", "哪些来源可以调用资源"},
                     {resource({"What the client calls it", "客户端埋点的资源名"}),
                      Field("limitApp", "string", {"Origins", "流控应用"}, {"Separated by commas", "多个来源用英文逗号分隔"}).required().column(),
                      Field("strategy", "enum", {"They", "授权类型"}, {"Only these, or all but these", "仅允许，或仅禁止"}).with_default(0).column().options({{0, {"may (white list)", "白名单"}}, {1, {"may not (black list)", "黑名单"}}}),
                      regex()});
}

Value gateway_flow() {
  const auto item = [](std::string_view name, std::string_view type, Text title, Text help) { return Field(std::string("paramItem.").append(name), type, title, help); };
  return description(
      RuleKind::GatewayFlow, {"Gateway rules", "网关流控规则"}, {"Limit routes and groups of paths at a gateway, also by a value of the request", "按路由或 API 分组限流，可按请求属性细分"},
      {Field("resource", "string", {"Route or API", "API 名称"}, {"A route's id or an API's name", "路由 ID 或 API 分组名"}).required().column(),
       Field("resourceMode", "enum", {"It is", "API 类型"}, {"What the name means", "名称的含义"}).with_default(0).column().options({{0, {"a route", "Route ID"}}, {1, {"an API", "API 分组"}}}),
       Field("grade", "enum", {"Threshold type", "阈值类型"}, {"What is counted", "统计的对象"}).with_default(1).options({{1, {"QPS", "QPS"}}, {0, {"threads", "线程数"}}}),
       Field("count", "number", {"Threshold", "阈值"}, {"For each interval", "每个间隔内的阈值"}).with_default(0).required().min(0).column(),
       Field("intervalSec", "integer", {"Interval", "间隔"}, {"The threshold is for this time", "阈值对应的时长"}).with_default(1).min(1).unit(kSeconds).column(),
       Field("controlBehavior", "enum", {"What happens above it", "流控方式"}, {"Refuse, or queue at an even pace", "快速失败或匀速排队"}).with_default(0).shown_when("grade", {1}).options({{0, {"reject", "快速失败"}}, {2, {"rate limiter", "匀速排队"}}}),
       Field("burst", "integer", {"Burst", "Burst size"}, {"May come at once on top", "允许额外突发的请求数"}).with_default(0).min(0).shown_when("grade", {1}).shown_when("controlBehavior", {0}),
       Field("maxQueueingTimeoutMs", "integer", {"Longest wait", "超时时间"}, {"A request that would wait longer is refused", "预计排队时间更长的请求被拒绝"}).with_default(500).min(0).unit(kMs).shown_when("controlBehavior", {2}),
       item("parseStrategy", "enum", {"By a value of the request", "针对请求属性"}, {"Each value is counted by itself", "按属性的每个取值分别统计"})
           .options({{0, {"client's address", "Client IP"}}, {1, {"host", "Remote Host"}}, {2, {"header", "Header"}}, {3, {"URL parameter", "URL 参数"}}, {4, {"cookie", "Cookie"}}}),
       item("fieldName", "string", {"Its name", "属性名称"}, {"Of the header, URL parameter or cookie", "Header、URL 参数或 Cookie 的名称"}).shown_when("paramItem.parseStrategy", {2, 3, 4}),
       item("pattern", "string", {"Only values that match", "属性值匹配"}, {"Empty: all", "空表示全部"}).shown_when("paramItem.parseStrategy", {0, 1, 2, 3, 4}),
       item("matchStrategy", "enum", {"How", "匹配模式"}, {"How the pattern is compared", "匹配方式"}).with_default(0).shown_when("paramItem.parseStrategy", {0, 1, 2, 3, 4})
           .options({{0, {"exactly", "精确"}}, {3, {"contains", "子串"}}, {2, {"regular expression", "正则"}}})});
}

Value gateway_api() {
  return description(RuleKind::GatewayApi, {"Gateway APIs", "API 管理"}, {"Groups of paths that gateway rules can name", "供网关流控规则使用的路径分组"},
                     {Field("apiName", "string", {"Name", "API 名称"}, {"Unique within the app", "应用内唯一"}).required().column(),
                      Field("predicateItems", "list", {"Paths", "匹配规则"}, {"A request belongs to the API if one of them takes its path", "任一匹配即属于该 API"})
                          .with_default(Value::array()).required().column()
                          .items({Field("pattern", "string", {"Path", "匹配串"}, {"/orders, /orders/**, or an expression", "如 /orders、/orders/** 或正则"}).required(),
                                  Field("matchStrategy", "enum", {"How", "匹配模式"}, {"How the path is compared", "匹配方式"}).with_default(0).options({{0, {"exactly", "精确"}}, {1, {"prefix", "前缀"}}, {2, {"regular expression", "正则"}}})})});
}

struct Remedy {
  std::string_view en, zh;
};

// The sentences of flow/rules.cc and flow/rules_json.cc. "{}": whatever stands there, kept.
constexpr Remedy kRemedies[] = {
    {"must not be blank", "不能为空"},
    {"must be 0 or more", "须大于或等于 0"},
    {"must be above 0", "须大于 0"},
    {"must be above 0 (seconds)", "须大于 0（秒）"},
    {"must be from 0 to 1", "须在 0 到 1 之间"},
    {"must be from 0 to 1, or -1 for none", "须在 0 到 1 之间，-1 表示不设置"},
    {"must be from 0 to 1 when grade is 1 (exception ratio)", "grade 为 1（异常比例）时须在 0 到 1 之间"},
    {"must be 0 (threads) or 1 (QPS)", "须为 0（线程数）或 1（QPS）"},
    {"must be 0 (direct), 1 (relate) or 2 (chain)", "须为 0（直接）、1（关联）或 2（链路）"},
    {"must be 0 (reject), 1 (warm up), 2 (rate limiter) or 3 (both)", "须为 0（快速失败）、1（Warm Up）、2（排队等待）或 3（Warm Up + 排队等待）"},
    {"must be 0 (reject) or 2 (rate limiter)", "须为 0（快速失败）或 2（排队等待）"},
    {"must be 0 (reject) when regex is true", "regex 为 true 时须为 0（快速失败）"},
    {"must be false when regex is true", "regex 为 true 时须为 false"},
    {"must be set when clusterMode is true", "clusterMode 为 true 时必须设置"},
    {"must be above 0 and a multiple of sampleCount", "须大于 0 且为 sampleCount 的整数倍"},
    {"must be 0", "须为 0"},
    {"must not be blank when strategy is 1 (relate) or 2 (chain)", "strategy 为 1（关联）或 2（链路）时不能为空"},
    {"must be 0 (slow calls), 1 (exception ratio) or 2 (exception count)", "须为 0（慢调用比例）、1（异常比例）或 2（异常数）"},
    {"must name at least one origin", "至少填写一个来源"},
    {"must be 0 (white list) or 1 (black list)", "须为 0（白名单）或 1（黑名单）"},
    {"must be set, to the argument's position from 0 (or from -1 backwards)", "必须设置为参数位置：从 0 开始，或从 -1 倒数"},
    {"must be 0 (route) or 1 (API)", "须为 0（Route ID）或 1（API 分组）"},
    {"must be 0 (client IP), 1 (host), 2 (header), 3 (URL parameter) or 4 (cookie)", "须为 0（Client IP）、1（Remote Host）、2（Header）、3（URL 参数）或 4（Cookie）"},
    {"must be set for a header, a URL parameter or a cookie", "Header、URL 参数或 Cookie 必须填写名称"},
    {"must be 0 (exact), 2 (regex) or 3 (contains)", "须为 0（精确）、2（正则）或 3（子串）"},
    {"must be an object", "须为对象"},
    {"must be a text", "须为文本"},
    {"must be true or false", "须为 true 或 false"},
    {"must be a number", "须为数字"},
    {"must be a list", "须为列表"},
    {"must be a whole number from {}", "须为整数，范围 {}"},
    {"is not a regular expression that can be used: {}", "不是可用的正则表达式：{}"},
    {"the document must be a list of rules: [{...}, {...}]", "内容须为规则列表：[{...}, {...}]"},
    {"is not known and not kept", "未知字段，不会保存"},
};

}  // namespace

Language language_of(std::string_view accept_language) {
  double best = -1;
  Language language = Language::English;
  for (std::string_view part : base::split(accept_language, ',')) {
    const auto pieces = base::split(part, ';');
    const std::string tag = base::to_lower(base::trim(pieces[0]));
    double weight = 1;
    if (pieces.size() > 1)
      if (const std::string_view q = base::trim(pieces[1]); q.starts_with("q=")) weight = base::to_double(q.substr(2)).value_or(0);
    const bool chinese = tag == "zh" || tag.starts_with("zh-"), english = tag == "en" || tag.starts_with("en-");
    if ((chinese || english) && weight > best) best = weight, language = chinese ? Language::Chinese : Language::English;
  }
  return language;
}

std::string_view api_name(RuleKind kind) {
  switch (kind) {
    case RuleKind::Flow:
      return "flow";
    case RuleKind::Degrade:
      return "degrade";
    case RuleKind::ParamFlow:
      return "param-flow";
    case RuleKind::System:
      return "system";
    case RuleKind::Authority:
      return "authority";
    case RuleKind::GatewayFlow:
      return "gateway-flow";
    case RuleKind::GatewayApi:
      break;
  }
  return "gateway-api";
}

std::optional<RuleKind> kind_of_api_name(std::string_view name) {
  for (RuleKind kind : store::kRuleKinds)
    if (api_name(kind) == name) return kind;
  return std::nullopt;
}

std::string_view key_field(RuleKind kind) {
  if (kind == RuleKind::System) return "";
  return kind == RuleKind::GatewayApi ? "apiName" : "resource";
}

const Value& rule_kinds() {
  static const Value all = Value::array({flow(), degrade(), param_flow(), system(), authority(), gateway_flow(), gateway_api()});
  return all;
}

std::string fault_text(std::string_view remedy, Language language) {
  if (language == Language::English) return std::string(remedy);
  for (const Remedy& each : kRemedies) {
    if (each.en == remedy) return std::string(each.zh);
    const std::size_t gap = each.en.find("{}");
    if (gap == std::string_view::npos || !remedy.starts_with(each.en.substr(0, gap))) continue;
    return base::replace_all(each.zh, "{}", remedy.substr(gap));
  }
  return std::string(remedy);
}

std::vector<std::string_view> known_remedies() {
  std::vector<std::string_view> all;
  for (const Remedy& each : kRemedies) all.push_back(each.en);
  return all;
}

}  // namespace fairlead::console
