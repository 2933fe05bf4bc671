// The C interface over engine.h. Exceptions (memory alone throws here) end at this border.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "flow/engine.h"
#include "flow/fairlead_flow.h"
#include "flow/rules_json.h"

namespace flow = fairlead::flow;

struct fairlead_flow_engine {
  flow::Engine engine;
};
struct fairlead_flow_entry {
  flow::Entry entry;
};

static_assert(static_cast<int>(flow::Verdict::Gateway) == FAIRLEAD_FLOW_GATEWAY && static_cast<int>(flow::Verdict::SystemCpu) == FAIRLEAD_FLOW_SYSTEM_CPU);

namespace {

char* copy(const std::string& text) {
  auto* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

std::string_view view(const char* text) { return text != nullptr ? std::string_view(text) : std::string_view(); }

// Calls `with` for the kind of rules; false: there is no such kind.
bool by_kind(int kind, auto with) {
  switch (kind) {
    case FAIRLEAD_FLOW_RULES_FLOW: with(flow::FlowRule{}); return true;
    case FAIRLEAD_FLOW_RULES_DEGRADE: with(flow::DegradeRule{}); return true;
    case FAIRLEAD_FLOW_RULES_AUTHORITY: with(flow::AuthorityRule{}); return true;
    case FAIRLEAD_FLOW_RULES_SYSTEM: with(flow::SystemRule{}); return true;
    case FAIRLEAD_FLOW_RULES_PARAM: with(flow::ParamFlowRule{}); return true;
    case FAIRLEAD_FLOW_RULES_GATEWAY: with(flow::GatewayFlowRule{}); return true;
    default: return false;
  }
}

flow::Param param(const fairlead_flow_param& from) {
  switch (from.type) {
    case FAIRLEAD_FLOW_PARAM_BOOLEAN: return from.integer != 0;
    case FAIRLEAD_FLOW_PARAM_INT: return static_cast<std::int32_t>(from.integer);
    case FAIRLEAD_FLOW_PARAM_LONG: return from.integer;
    case FAIRLEAD_FLOW_PARAM_DOUBLE: return from.number;
    case FAIRLEAD_FLOW_PARAM_STRING: return from.text != nullptr ? flow::Param(std::string_view(from.text, from.text_bytes)) : flow::Param();
    default: return {};
  }
}

}  // namespace

extern "C" {

fairlead_flow_engine* fairlead_flow_engine_new(void) {
  try {
    return new fairlead_flow_engine;
  } catch (...) {
    return nullptr;
  }
}

void fairlead_flow_engine_free(fairlead_flow_engine* engine) { delete engine; }

int fairlead_flow_load(fairlead_flow_engine* engine, int kind, const char* json, char** problem) {
  if (problem != nullptr) *problem = nullptr;
  std::string text;
  bool refused = false;
  const auto load = [&]<class Rule>(const Rule&) {
    const auto list = flow::read_rules<Rule>(view(json));
    refused = !list.faults.empty();
    for (const flow::RuleFault& fault : list.faults) text += fault.sentence() + "\n";
    if (refused) return;
    for (const flow::RuleFault& note : list.notes) text += note.sentence() + "\n";
    for (const std::string& note : engine->engine.load(list.plain())) text += note + "\n";
  };
  try {
    if (engine == nullptr || json == nullptr) {
      refused = true;
      text = engine == nullptr ? "there is no engine\n" : "there is no list of rules; write [] for none\n";
    } else if (!by_kind(kind, load)) {
      refused = true;
      text = "there is no such kind of rules; take one of fairlead_flow_rules\n";
    }
    if (problem != nullptr && !text.empty()) *problem = copy(text);
  } catch (...) {
    return -1;
  }
  return refused ? -1 : 0;
}

char* fairlead_flow_rules_text(const fairlead_flow_engine* engine, int kind) {
  if (engine == nullptr) return nullptr;
  char* out = nullptr;
  try {
    by_kind(kind, [&]<class Rule>(const Rule&) {
      std::vector<flow::ListedRule<Rule>> listed;
      for (Rule& rule : engine->engine.rules<Rule>()) listed.push_back({.rule = std::move(rule), .index = 0, .others = {}});
      out = copy(flow::print_rules(listed));
    });
  } catch (...) {
    return nullptr;
  }
  return out;
}

void fairlead_flow_text_free(char* text) { std::free(text); }

fairlead_flow_decision fairlead_flow_enter(fairlead_flow_engine* engine, const char* resource, const fairlead_flow_call* call) {
  fairlead_flow_decision decision{.verdict = FAIRLEAD_FLOW_ERROR, .rule = -1, .wait_ns = 0, .entry = nullptr};
  if (engine == nullptr || resource == nullptr) return decision;
  try {
    std::array<flow::Param, FAIRLEAD_FLOW_MAX_PARAMS> params;
    flow::Call with;
    if (call != nullptr) {
      const std::size_t count = call->params != nullptr ? std::min(call->params_count, params.size()) : 0;
      std::transform(call->params, call->params + count, params.begin(), param);
      with = {.context = view(call->context), .origin = view(call->origin), .count = call->count != 0 ? call->count : 1, .prioritized = call->prioritized != 0, .inbound = call->inbound != 0,
              .params = std::span(params).first(count), .within = call->within != nullptr ? &call->within->entry : nullptr};
    }
    auto entry = std::make_unique<fairlead_flow_entry>();  // before the check: what was counted must end
    entry->entry = engine->engine.enter(view(resource), with);
    decision.verdict = static_cast<fairlead_flow_verdict>(entry->entry.verdict());
    decision.rule = entry->entry.rule();
    decision.wait_ns = entry->entry.wait_ns();
    if (entry->entry) decision.entry = entry.release();
  } catch (...) {
    decision.verdict = FAIRLEAD_FLOW_ERROR;
  }
  return decision;
}

void fairlead_flow_trace(fairlead_flow_entry* entry) {
  if (entry != nullptr) entry->entry.trace();
}

void fairlead_flow_exit(fairlead_flow_entry* entry) { delete entry; }

const char* fairlead_flow_verdict_text(int verdict) {
  if (verdict < FAIRLEAD_FLOW_PASS || verdict > FAIRLEAD_FLOW_GATEWAY) return "not checked";
  return flow::to_string(static_cast<flow::Verdict>(verdict)).data();
}

void fairlead_flow_set_system_status(fairlead_flow_engine* engine, double load, double cpu) {
  if (engine != nullptr) engine->engine.set_system_status(load, cpu);
}

void fairlead_flow_set_on(fairlead_flow_engine* engine, int on) {
  if (engine != nullptr) engine->engine.set_on(on != 0);
}

}  // extern "C"
