// istioctl: what its subcommands share. The names, flags, output and exit codes are Istio's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::store {
struct KubeConfig;
}

namespace fairlead::cli {

// Exit codes of istioctl.
inline constexpr int kExitError = 1, kExitUsage = 64, kExitDataError = 65, kExitAnalyzerFoundIssues = 79;

struct Flag {
  std::string_view name;       // "namespace"
  char letter = 0;             // 'n'; 0: none
  bool takes_value = false;    // a flag without value may still be written --flag=false
  std::string_view help;
};

// A command line in the way of Go's pflag: flags anywhere, --name value, --name=value, -nvalue, -n value, --.
class Args {
 public:
  // The global flags (--kubeconfig, --context, -n, -i ...) are known besides `flags`. InvalidArgument: unknown flag.
  static base::Result<Args> parse(int argc, char** argv, std::span<const Flag> flags);
  bool has(std::string_view name) const { return values_.contains(std::string(name)); }
  bool is_true(std::string_view name, bool fallback = false) const;
  std::string value(std::string_view name, std::string_view fallback = "") const;  // the last one given
  std::vector<std::string> all(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

// The cluster that --kubeconfig and --context name.
class Cluster {
 public:
  static base::Result<Cluster> open(const Args& args);
  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster&&) noexcept;
  ~Cluster();

  const store::KubeConfig& config() const { return *config_; }
  const std::string& ns() const { return ns_; }              // -n, else the context's, else default
  const std::string& istio_ns() const { return istio_ns_; }  // -i, else istio-system

  // resource as the store names it ("pods", "virtualservices.networking.istio.io"); ns "" lists all.
  base::Result<base::Value> get(std::string_view resource, std::string_view ns, std::string_view name) const;
  base::Result<std::vector<base::Value>> list(std::string_view resource, std::string_view ns = "", std::string_view label_selector = "") const;
  // Creates the object, or brings an existing one to it (strategic merge for built-in kinds, else merge patch).
  base::Result<base::Value> apply(const base::Value& object) const;
  base::Status remove(std::string_view resource, std::string_view ns, std::string_view name) const;
  // Runs a command in a container of a pod and returns what it wrote to stdout; FailedPrecondition with its stderr when it
  // fails.
  base::Result<std::string> exec(std::string_view ns, std::string_view pod, std::string_view container,
                                 const std::vector<std::string>& command) const;

 private:
  Cluster() = default;
  std::unique_ptr<store::KubeConfig> config_;
  std::string ns_, istio_ns_;
};

// "Error: message" on stderr; returns the exit code.
int istioctl_error(std::string_view message, int exit_code = kExitError);
// Columns as Go's tabwriter lays them out (padding 5 unless told). Lines end without blanks.
std::string tabulate(const std::vector<std::vector<std::string>>& rows, size_t padding = 5);
// "Proceed? (y/N)": true when --skip-confirmation/-y was given or the answer is y.
bool confirmed(const Args& args, std::string_view question);

int istioctl_version(int argc, char** argv);
int istioctl_install(int argc, char** argv);
int istioctl_uninstall(int argc, char** argv);
int istioctl_verify_install(int argc, char** argv);
int istioctl_precheck(int argc, char** argv);
int istioctl_manifest(int argc, char** argv);
int istioctl_profile(int argc, char** argv);
int istioctl_analyze(int argc, char** argv);
int istioctl_validate(int argc, char** argv);
int istioctl_kube_inject(int argc, char** argv);
int istioctl_proxy_status(int argc, char** argv);
int istioctl_proxy_config(int argc, char** argv);

}  // namespace fairlead::cli
