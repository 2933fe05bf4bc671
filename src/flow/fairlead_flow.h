/* The flow control engine for C (C99): opaque handles, rules as JSON, verdicts as numbers, errors as text. flow/engine.h says what each
   thing means; rules_json.h what the rules look like.

     fairlead_flow_engine* engine = fairlead_flow_engine_new();
     char* problem = NULL;
     if (fairlead_flow_load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"orders\",\"count\":100}]", &problem) != 0) {
       fprintf(stderr, "%s", problem);
     }
     fairlead_flow_text_free(problem);

     fairlead_flow_decision decision = fairlead_flow_enter(engine, "orders", NULL);
     if (decision.verdict == FAIRLEAD_FLOW_PASS) {
       if (work() != 0) fairlead_flow_trace(decision.entry);
       fairlead_flow_exit(decision.entry);
     } else {
       answer_429(fairlead_flow_verdict_text(decision.verdict));
     }

   Any thread may call anything at any time, but for one entry at a time. No exception leaves these functions. Texts are UTF-8 and end
   with a zero; null where a text may be left out. */
#ifndef FAIRLEAD_FLOW_H
#define FAIRLEAD_FLOW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fairlead_flow_engine fairlead_flow_engine;
typedef struct fairlead_flow_entry fairlead_flow_entry; /* a call in progress */

typedef enum {
  FAIRLEAD_FLOW_RULES_FLOW = 0,
  FAIRLEAD_FLOW_RULES_DEGRADE = 1,
  FAIRLEAD_FLOW_RULES_AUTHORITY = 2,
  FAIRLEAD_FLOW_RULES_SYSTEM = 3,
  FAIRLEAD_FLOW_RULES_PARAM = 4,
  FAIRLEAD_FLOW_RULES_GATEWAY = 5
} fairlead_flow_rules;

typedef enum {
  FAIRLEAD_FLOW_ERROR = -1, /* out of memory, or no engine or resource was given: the call was not checked */
  FAIRLEAD_FLOW_PASS = 0,
  FAIRLEAD_FLOW_FLOW = 1,
  FAIRLEAD_FLOW_DEGRADE = 2,
  FAIRLEAD_FLOW_AUTHORITY = 3,
  FAIRLEAD_FLOW_SYSTEM_QPS = 4,
  FAIRLEAD_FLOW_SYSTEM_THREAD = 5,
  FAIRLEAD_FLOW_SYSTEM_RT = 6,
  FAIRLEAD_FLOW_SYSTEM_LOAD = 7,
  FAIRLEAD_FLOW_SYSTEM_CPU = 8,
  FAIRLEAD_FLOW_PARAM_FLOW = 9,
  FAIRLEAD_FLOW_GATEWAY = 10
} fairlead_flow_verdict;

typedef enum {
  FAIRLEAD_FLOW_PARAM_NONE = 0, /* no rule asks about it */
  FAIRLEAD_FLOW_PARAM_BOOLEAN = 1, /* integer */
  FAIRLEAD_FLOW_PARAM_INT = 2,     /* integer, Java's int */
  FAIRLEAD_FLOW_PARAM_LONG = 3,    /* integer, Java's long */
  FAIRLEAD_FLOW_PARAM_DOUBLE = 4,  /* number */
  FAIRLEAD_FLOW_PARAM_STRING = 5   /* text, text_bytes */
} fairlead_flow_param_type;

/* An argument of a call, for parameter rules. */
typedef struct {
  int type; /* a fairlead_flow_param_type; of others no rule asks */
  int64_t integer;
  double number;
  const char* text;
  size_t text_bytes;
} fairlead_flow_param;

/* All zero is a plain outbound call of one. */
typedef struct {
  const char* context; /* name of the entrance */
  const char* origin;  /* who calls */
  int count;           /* 0: one */
  int prioritized;
  int inbound; /* counts for system rules */
  const fairlead_flow_param* params;
  size_t params_count; /* at most FAIRLEAD_FLOW_MAX_PARAMS; further ones are not read */
  const fairlead_flow_entry* within; /* the call in progress, of the same context, that this one is part of; null: of none */
} fairlead_flow_call;

#define FAIRLEAD_FLOW_MAX_PARAMS 32

typedef struct {
  fairlead_flow_verdict verdict;
  int rule;                   /* place, in the list that was loaded, of the rule that refused; -1 */
  int64_t wait_ns;            /* a call that passed must wait this long before it goes on */
  fairlead_flow_entry* entry; /* of a call that passed, until fairlead_flow_exit; else null */
} fairlead_flow_decision;

/* Null: out of memory. All entries must have ended before it is freed. */
fairlead_flow_engine* fairlead_flow_engine_new(void);
void fairlead_flow_engine_free(fairlead_flow_engine* engine);

/* Replaces all rules of the kind (a fairlead_flow_rules) by a JSON list. 0: done. -1: the list is refused and the old rules stay. `problem`, if not null, is set to
   sentences, a line each, or to null: why it is refused, or what of valid rules is not acted on. Free it with fairlead_flow_text_free. */
int fairlead_flow_load(fairlead_flow_engine* engine, int kind, const char* json, char** problem);
/* The rules that hold, as a JSON list; null: out of memory or no such kind. Free it with fairlead_flow_text_free. */
char* fairlead_flow_rules_text(const fairlead_flow_engine* engine, int kind);
void fairlead_flow_text_free(char* text);

/* `call` may be null. */
fairlead_flow_decision fairlead_flow_enter(fairlead_flow_engine* engine, const char* resource, const fairlead_flow_call* call);
/* The call failed: counts for exceptions and for breakers. */
void fairlead_flow_trace(fairlead_flow_entry* entry);
/* Ends the call; also on another thread. The entry is gone. Null is nothing. */
void fairlead_flow_exit(fairlead_flow_entry* entry);

const char* fairlead_flow_verdict_text(int verdict);

/* Load (1 minute average) and CPU (0..1) for system rules; -1: unknown. */
void fairlead_flow_set_system_status(fairlead_flow_engine* engine, double load, double cpu);
/* 0: every call passes, unchecked and uncounted. */
void fairlead_flow_set_on(fairlead_flow_engine* engine, int on);

#ifdef __cplusplus
}
#endif

#endif
