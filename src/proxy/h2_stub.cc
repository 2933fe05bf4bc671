#include "proxy/downstream.h"
#include "proxy/upstream.h"
namespace fairlead::proxy {
std::unique_ptr<UpstreamConnection> make_h2_upstream(HostPool& pool) { return make_h1_upstream(pool); }
std::unique_ptr<DownstreamConnection> make_h2_downstream(Worker& worker, Accepted accepted) { return make_h1_downstream(worker, std::move(accepted)); }
}
