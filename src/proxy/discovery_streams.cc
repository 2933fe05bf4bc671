#include "proxy/discovery_streams.h"

#include <vector>

#include "xds/types.h"

namespace fairlead::proxy {

struct DiscoveryStreams::Stream final : xds::ClientSink {
  Stream(DiscoveryStreams& s, std::string_view t, DiscoverySource f, xds::AdsOptions options) : streams(s), type_url(t), from(std::move(f)), client(s.loop_, std::move(options), *this) {}
  base::Status on_update(const xds::ReceivedUpdate& update) override { return streams.take_(from, update); }
  void on_stream(bool up, std::string_view) override {
    if (!up && streams.failed) streams.failed(type_url, from);
  }
  DiscoveryStreams& streams;
  std::string type_url;
  DiscoverySource from;
  xds::AdsClient client;
};

DiscoveryStreams::DiscoveryStreams(io::Loop& loop, Reach reach, Take take) : loop_(loop), reach_(std::move(reach)), take_(std::move(take)) {}
DiscoveryStreams::~DiscoveryStreams() = default;

DiscoveryStreams::Stream* DiscoveryStreams::open(std::string_view type_url, const DiscoverySource& from) {
  auto options = reach_(from);
  if (!options) return nullptr;
  if (!from.aggregated) options->service = xds::stream_method(type_url, from.delta);
  auto& slot = streams_[{std::string(type_url), from}];
  slot = std::make_unique<Stream>(*this, type_url, from, std::move(*options));
  return slot.get();
}

bool DiscoveryStreams::subscribe_all(std::string_view type_url, const DiscoverySource& from) {
  if (streams_.contains({std::string(type_url), from})) return true;
  Stream* s = open(type_url, from);
  if (!s) return false;
  s->client.subscribe_all(type_url);
  s->client.start();
  return true;
}

std::set<DiscoverySource> DiscoveryStreams::subscribe(std::string_view type_url, const std::map<DiscoverySource, std::set<std::string>>& names) {
  std::set<DiscoverySource> unknown;
  for (auto it = streams_.begin(); it != streams_.end();) {
    auto wanted = names.find(it->first.second);
    if (it->first.first != type_url || (wanted != names.end() && !wanted->second.empty())) {
      ++it;
      continue;
    }
    loop_.defer([gone = std::shared_ptr<Stream>(std::move(it->second))] {});  // it may be what is calling
    it = streams_.erase(it);
  }
  for (auto& [from, wanted] : names) {
    if (wanted.empty()) continue;
    auto at = streams_.find({std::string(type_url), from});
    Stream* s = at == streams_.end() ? open(type_url, from) : at->second.get();
    if (!s) {
      unknown.insert(from);
      continue;
    }
    s->client.subscribe(type_url, wanted);
    if (at == streams_.end()) s->client.start();
  }
  return unknown;
}

DiscoveryStreams::State DiscoveryStreams::state(std::string_view type_url) const {
  State out;
  for (auto& [key, s] : streams_) {
    if (key.first != type_url) continue;
    ++out.streams;
    out.connected += s->client.connected();
  }
  return out;
}

}  // namespace fairlead::proxy
