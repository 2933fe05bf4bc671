// Registry: every write to the store, with all that the API promises about it, and the rules that follow from a write
// (finalizers, owners, namespaces going away, kinds being defined).
//
// HTTP requests and in-process controllers (api/client.h) both end here. Loop thread only. Owner: ApiServer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/admission.h"
#include "api/client.h"
#include "api/kind_table.h"
#include "api/status.h"
#include "api/webhook.h"
#include "io/loop.h"
#include "store/store.h"

namespace fairlead::api {

enum class FieldValidation : unsigned char { kIgnore, kWarn, kStrict };

struct WriteOptions {
  FieldValidation field_validation = FieldValidation::kIgnore;
  bool dry_run = false;
  bool webhooks = true;
  bool keep_managed_fields = false;  // server-side apply has brought metadata.managedFields up to date
  Caller caller{"system:apiserver", "", {"system:masters"}};
  std::string manager;                                          // who the fields that are written belong to; "": nobody
  std::string manager_part;                                     // the subresource it was written through, where that is not the status
  std::string version;                                          // as addressed; "": the storage version
  const std::vector<base::DuplicateKey>* duplicates = nullptr;  // found while parsing the object
};

struct Written {
  store::ObjectPtr object;
  std::vector<std::string> warnings;
  bool created = false;
};

struct Deleted {
  store::ObjectPtr object;  // the last state, or the state while it waits
  bool gone = false;        // false: marked, waits for the kubelet, a finalizer or the namespace to empty
};

enum class Part : unsigned char { kMain, kStatus };

class Registry final : public Client {
 public:
  struct Options {
    ServiceRange services;
    WebhookTransport webhook;
    std::string ca_pem;  // for kube-root-ca.crt
  };
  using Done = std::function<void(Outcome<Written>)>;
  // What a write makes of the stored object.
  using Transform = std::function<Outcome<base::Value>(const base::Value& current)>;

  Registry(io::Loop& loop, store::Store& store, KindTable& kinds, Options options);
  ~Registry() override;

  // The namespaces, definitions and the Service every cluster has, where they are missing. Once, before serving.
  base::Status bootstrap();

  void create(const mesh::Kind& kind, std::string_view ns, base::Value object, const WriteOptions& options, Done done);
  void modify(const mesh::Kind& kind, const store::Key& key, Part part, Transform transform, const WriteOptions& options, Done done);
  Outcome<Deleted> remove(const mesh::Kind& kind, const store::Key& key, const DeleteOptions& options);
  // The transform of a PUT.
  Transform replace_with(const mesh::Kind& kind, base::Value object) const;

  store::Store& store() { return store_; }
  KindTable& kinds() { return kinds_; }

  // Client
  void create(base::Value object, Client::Done done) override;
  base::Result<store::ObjectPtr> create_now(base::Value object) override;
  base::Result<store::ObjectPtr> update(base::Value object) override;
  base::Result<store::ObjectPtr> update_status(base::Value object) override;
  base::Result<store::ObjectPtr> patch(const store::Key& key, const base::Value& merge_patch) override;
  base::Result<store::ObjectPtr> patch_status(const store::Key& key, const base::Value& merge_patch) override;
  base::Result<store::ObjectPtr> remove(const store::Key& key, const DeleteOptions& options) override;

 private:
  struct Change;
  Outcome<base::Value> checked_shape(const mesh::Kind& kind, base::Value object, std::string_view name, const WriteOptions& options,
                                     std::vector<std::string>& warnings) const;
  // Against the definition that a user's own kind comes from.
  void check_custom(const mesh::Kind& kind, const base::Value& object, mesh::Problems& problems) const;
  // What the tables say, and references to what is not there.
  std::vector<std::string> warnings_of(const mesh::Kind& kind, const base::Value& object) const;
  void finish_create(const mesh::Kind& kind, const store::Key& key, base::Value object, const WriteOptions& options,
                     std::vector<std::string> warnings, const Done& done);
  void store_created(const mesh::Kind& kind, const store::Key& key, base::Value object, bool dry_run, std::vector<std::string> warnings,
                     const Done& done);
  Outcome<base::Value> next_state(const mesh::Kind& kind, const store::Key& key, Part part, const base::Value& current, base::Value next,
                                  const WriteOptions& options, std::vector<std::string>& warnings) const;
  void store_change(const std::shared_ptr<Change>& change);
  void modify(const std::shared_ptr<Change>& change);
  base::Result<store::ObjectPtr> modify_now(const store::Key& key, Part part, Transform transform, bool replace = false);

  Outcome<Deleted> erase(const mesh::Kind& kind, const store::Key& key, bool dry_run);
  void after_create(const mesh::Kind& kind, const base::Value& object);
  void after_erase(const mesh::Kind& kind, const base::Value& object);
  // registry_collect.cc
  void collect_dependents(const base::Value& owner);
  void collect_orphans();
  bool owner_alive(const base::Value& reference, std::string_view ns) const;
  std::vector<std::pair<const mesh::Kind*, store::ObjectPtr>> dependents(std::string_view uid, std::string_view ns) const;
  Outcome<void> release_dependents(const base::Value& owner);
  void settle_foreground(const mesh::Kind& kind, const store::Key& key);
  void empty_namespace(const std::string& ns);
  void schedule_emptying(const std::string& ns);

  io::Loop& loop_;
  store::Store& store_;
  KindTable& kinds_;
  const Options options_;
  Admission admission_;
  Webhooks webhooks_;
  std::set<std::string> emptying_;  // namespaces with an empty_namespace() posted
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The key an object is stored under.
store::Key key_of(const mesh::Kind& kind, std::string_view ns, std::string_view name);

}  // namespace fairlead::api
