// What is done with each field of the flow control messages. The format is explained in fields.h.
#include "proxy/config/fields.h"

namespace fairlead::proxy {

const std::string_view kFlowFields = R"fields(
fairlead.flow.v1.FlowControl
  1 app yes
  2 stat_prefix yes
  3 inbound yes
  4 resources[] yes > fairlead.flow.v1.ResourceName
  5 origin yes > fairlead.flow.v1.Origin
  6 context yes
  7 parameters[] yes > fairlead.flow.v1.Parameter
  8 flow_rules yes
  9 degrade_rules yes
  10 param_flow_rules yes
  11 system_rules yes
  12 authority_rules yes
  13 gateway_flow_rules yes
  14 gateway_api_definitions yes
  15 dashboards yes > fairlead.flow.v1.Dashboards

fairlead.flow.v1.Dashboards
  1 addresses[] yes
  2 command_port yes
  3 command_address yes
  4 command_peers[] yes
  5 gateway yes

fairlead.flow.v1.FlowControlPerRoute
  1 resource yes
  2 origin yes > fairlead.flow.v1.Origin
  3 context yes
  4 parameters[] yes > fairlead.flow.v1.Parameter

fairlead.flow.v1.ResourceName
  1 by yes
  2 text yes
  3 path_templates[] yes
  4 path_segments yes
  5 method_prefix yes

fairlead.flow.v1.Origin
  1 header yes
  2 peer yes
  3 address yes

fairlead.flow.v1.Parameter
  1 header yes
  2 query yes
  3 cookie yes
  4 path_variable yes
  5 address yes
  6 server_name yes
)fields";

}  // namespace fairlead::proxy
