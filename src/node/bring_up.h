// BringUp: installs the profile when the mesh is new, then tells what becomes Ready, until all of the profile is.
// Loop thread only. Owner: the node.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/client.h"
#include "node/controllers/reconciler.h"

namespace fairlead::node {

class BringUp {
 public:
  static constexpr std::chrono::seconds kPatience{60};
  // After a restart the pods that were Ready are waited for, too, but not for long: they are the user's.
  static constexpr std::chrono::seconds kPatienceForOthers{10};

  struct Report {
    std::function<void(const std::string& line)> progress;
    std::function<void()> ready;
    std::function<void(const std::string& why)> failed;
  };
  // is_live: the pod runs now and is Ready (the store may remember a pod of before a crash as Ready).
  using IsLive = std::function<bool(const std::string& ns, const std::string& pod)>;

  BringUp(io::Loop& loop, store::Store& store, api::Client& client, std::string profile, IsLive is_live, Report report);
  ~BringUp();

 private:
  void install();
  void create_next();
  void installed();
  void fail(const std::string& why);
  void check();
  void schedule_check();
  bool others_are_back();
  std::string whats_wrong() const;

  io::Loop& loop_;
  store::Store& store_;
  api::Client& client_;
  const std::string profile_;
  const IsLive is_live_;
  const Report report_;
  std::vector<base::Value> objects_;
  size_t next_ = 0;
  bool done_ = false, check_posted_ = false;
  std::set<std::string> told_;           // deployments that were reported
  std::set<ObjectName> others_;          // pods that were Ready when the node ended
  size_t others_count_ = 0;
  std::unique_ptr<Watch> pods_, deployments_;
  io::Timer patience_, patience_for_others_;
  std::shared_ptr<bool> alive_;
};

}  // namespace fairlead::node
