/* The C interface as a C99 program uses it. */
#include <stdio.h>
#include <string.h>

#include "flow/fairlead_flow.h"

static int failures = 0;

#define EXPECT(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++failures; \
    } \
  } while (0)

/* Loads, and answers whether the problem holds `part`; null: there must be none. */
static int load(fairlead_flow_engine* engine, int kind, const char* json, int result, const char* part) {
  char* problem = NULL;
  int good = fairlead_flow_load(engine, kind, json, &problem) == result;
  good = good && (part == NULL ? problem == NULL : problem != NULL && strstr(problem, part) != NULL);
  if (!good) fprintf(stderr, "%s: %s\n", json ? json : "(null)", problem ? problem : "no problem");
  fairlead_flow_text_free(problem);
  return good;
}

static void rules_pass_and_refuse(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  fairlead_flow_decision first, second;
  EXPECT(engine != NULL);
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"a\",\"count\":1,\"grade\":0}]", 0, NULL));
  first = fairlead_flow_enter(engine, "a", NULL);
  EXPECT(first.verdict == FAIRLEAD_FLOW_PASS && first.entry != NULL && first.rule == -1);
  second = fairlead_flow_enter(engine, "a", NULL);
  EXPECT(second.verdict == FAIRLEAD_FLOW_FLOW && second.entry == NULL && second.rule == 0);
  EXPECT(strcmp(fairlead_flow_verdict_text(second.verdict), "flow") == 0);
  fairlead_flow_exit(first.entry);
  second = fairlead_flow_enter(engine, "a", NULL);
  EXPECT(second.verdict == FAIRLEAD_FLOW_PASS);
  fairlead_flow_set_on(engine, 0);
  first = fairlead_flow_enter(engine, "a", NULL);
  EXPECT(first.verdict == FAIRLEAD_FLOW_PASS);
  fairlead_flow_exit(first.entry);
  fairlead_flow_exit(second.entry);
  fairlead_flow_engine_free(engine);
}

static void a_bad_list_changes_nothing(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  char* rules;
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"a\",\"count\":0}]", 0, NULL));
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"b\",\"count\":0},{\"resource\":\"c\",\"count\":-1}]", -1, "rule 1: count: must be 0 or more"));
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[", -1, "line 1, column 2"));
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_FLOW, NULL, -1, "write []"));
  EXPECT(load(engine, 99, "[]", -1, "no such kind"));
  EXPECT(load(NULL, FAIRLEAD_FLOW_RULES_FLOW, "[]", -1, "no engine"));
  EXPECT(fairlead_flow_load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[", NULL) == -1);
  rules = fairlead_flow_rules_text(engine, FAIRLEAD_FLOW_RULES_FLOW);
  EXPECT(rules != NULL && strstr(rules, "\"resource\":\"a\"") != NULL && strstr(rules, "\"resource\":\"b\"") == NULL);
  fairlead_flow_text_free(rules);
  EXPECT(fairlead_flow_rules_text(engine, 99) == NULL);
  fairlead_flow_engine_free(engine);
}

static void calls_say_who_and_what(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  fairlead_flow_param param;
  fairlead_flow_call call;
  fairlead_flow_decision decision;
  memset(&call, 0, sizeof call);
  memset(&param, 0, sizeof param);
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_AUTHORITY, "[{\"resource\":\"a\",\"limitApp\":\"evil\",\"strategy\":1}]", 0, NULL));
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_PARAM, "[{\"resource\":\"b\",\"paramIdx\":0,\"count\":1}]", 0, NULL));
  call.origin = "evil";
  EXPECT(fairlead_flow_enter(engine, "a", &call).verdict == FAIRLEAD_FLOW_AUTHORITY);
  call.origin = NULL;
  param.type = FAIRLEAD_FLOW_PARAM_STRING;
  param.text = "customer-1";
  param.text_bytes = strlen(param.text);
  call.params = &param;
  call.params_count = 1;
  decision = fairlead_flow_enter(engine, "b", &call);
  EXPECT(decision.verdict == FAIRLEAD_FLOW_PASS);
  fairlead_flow_exit(decision.entry);
  EXPECT(fairlead_flow_enter(engine, "b", &call).verdict == FAIRLEAD_FLOW_PARAM_FLOW);
  param.type = 99; /* nothing that a rule could ask about */
  decision = fairlead_flow_enter(engine, "b", &call);
  EXPECT(decision.verdict == FAIRLEAD_FLOW_PASS);
  fairlead_flow_exit(decision.entry);
  param.type = FAIRLEAD_FLOW_PARAM_LONG;
  decision = fairlead_flow_enter(engine, "b", &call);
  EXPECT(decision.verdict == FAIRLEAD_FLOW_PASS);
  fairlead_flow_exit(decision.entry);
  fairlead_flow_engine_free(engine);
}

static void failures_open_breakers(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  int i;
  EXPECT(load(engine, FAIRLEAD_FLOW_RULES_DEGRADE, "[{\"resource\":\"a\",\"grade\":2,\"count\":2,\"timeWindow\":600,\"minRequestAmount\":1,\"statIntervalMs\":100000}]", 0, NULL));
  for (i = 0; i < 3; ++i) {
    fairlead_flow_decision decision = fairlead_flow_enter(engine, "a", NULL);
    EXPECT(decision.verdict == FAIRLEAD_FLOW_PASS);
    fairlead_flow_trace(decision.entry);
    fairlead_flow_exit(decision.entry);
  }
  EXPECT(fairlead_flow_enter(engine, "a", NULL).verdict == FAIRLEAD_FLOW_DEGRADE);
  fairlead_flow_engine_free(engine);
}

static void nothing_given_is_no_crash(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  EXPECT(fairlead_flow_enter(NULL, "a", NULL).verdict == FAIRLEAD_FLOW_ERROR);
  EXPECT(fairlead_flow_enter(engine, NULL, NULL).verdict == FAIRLEAD_FLOW_ERROR);
  EXPECT(strcmp(fairlead_flow_verdict_text(FAIRLEAD_FLOW_ERROR), "not checked") == 0);
  EXPECT(strcmp(fairlead_flow_verdict_text(99), "not checked") == 0);
  fairlead_flow_trace(NULL);
  fairlead_flow_exit(NULL);
  fairlead_flow_text_free(NULL);
  fairlead_flow_set_system_status(NULL, 1, 1);
  fairlead_flow_set_on(NULL, 1);
  fairlead_flow_engine_free(engine);
  fairlead_flow_engine_free(NULL);
}

int main(void) {
  rules_pass_and_refuse();
  a_bad_list_changes_nothing();
  calls_say_who_and_what();
  failures_open_breakers();
  nothing_given_is_no_crash();
  printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
