/* A resource that may be called five times a second, from C. */
#include <stdio.h>

#include "flow/fairlead_flow.h"

int main(void) {
  fairlead_flow_engine* engine = fairlead_flow_engine_new();
  char* problem = NULL;
  int i, passed = 0;
  if (engine == NULL) return 1;
  if (fairlead_flow_load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"orders\",\"count\":-5}]", &problem) != 0) printf("refused: %s", problem);
  fairlead_flow_text_free(problem);
  fairlead_flow_load(engine, FAIRLEAD_FLOW_RULES_FLOW, "[{\"resource\":\"orders\",\"count\":5}]", NULL);
  for (i = 0; i < 8; ++i) {
    fairlead_flow_decision decision = fairlead_flow_enter(engine, "orders", NULL);
    if (decision.verdict == FAIRLEAD_FLOW_PASS) ++passed;
    fairlead_flow_exit(decision.entry);
  }
  printf("orders: %d of 8 passed\n", passed);
  fairlead_flow_engine_free(engine);
  return 0;
}
