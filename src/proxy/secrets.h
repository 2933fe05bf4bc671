// SecretManager: gets secrets (SDS) for TLS contexts from wherever they come: the ADS stream, a gRPC cluster of their own,
// files, or the agent in this process; makes the contexts anew when a secret or a file of theirs changes.
//
// Main thread only; owned by the ConfigManager. A secret that no context refers to any longer is forgotten.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/discovery_streams.h"
#include "proxy/file_watch.h"
#include "proxy/stats.h"
#include "proxy/tls_source.h"
#include "xds/client.h"

namespace fairlead::proxy {

class SecretManager {
 public:
  struct Hooks {
    std::function<void()> changed;   // a context was made, or the wait for one is over
    // The agent of this process answers for this cluster, by put_local().
    std::string local_cluster;
    std::function<void(const std::string& name)> local_wanted;
  };
  SecretManager(io::Loop& loop, DiscoveryStreams& streams, Hooks hooks);
  ~SecretManager();

  // Keeps its context made as long as somebody else holds it. Attaching again is nothing.
  void attach(const std::shared_ptr<TlsSource>& source);
  // Drops what is no longer referred to; call after configuration went.
  void prune();
  std::set<std::string> ads_names() const;
  base::Status on_update(const xds::ReceivedUpdate& update, const DiscoverySource* from);  // nullptr: the ADS stream
  void put_local(const std::string& name, const std::string& bytes);
  // Its context is not there yet, and it is too early to go on without.
  bool waits(const TlsSource& source) const;

  struct Entry {
    SecretRef ref;
    SecretBytes bytes;               // nullptr: not yet
    std::string version, error;
    base::WallTime updated;
    bool gave_up = false;
    uint64_t updates = 0, rejected = 0;
    std::unique_ptr<io::Timer> timeout;
  };
  const std::map<SecretRef, Entry>& entries() const { return entries_; }
  std::vector<std::shared_ptr<TlsSource>> sources() const;
  void stats(StatsSnapshot& into) const;

 private:
  void want(const SecretRef& ref);
  void update_streams();
  base::Status put(Entry& entry, const std::string& bytes, const std::string& version);
  base::Status build(TlsSource& source);
  void read_file(Entry& entry);
  void files_changed();
  void watch_files();
  SecretLookup lookup() const;

  io::Loop& loop_;
  DiscoveryStreams& streams_;
  Hooks hooks_;
  std::map<SecretRef, Entry> entries_;
  std::vector<std::weak_ptr<TlsSource>> sources_;
  std::map<std::string, std::string> digests_;              // of files, as last read
  FileWatch watch_;
};

}  // namespace fairlead::proxy
