#include <cstdlib>
#include <fstream>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "sentinel/agent.h"

namespace fairlead::sentinel {
namespace {

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? value : "";
}

std::string upper(std::string_view property) {
  std::string name;
  for (const char c : property) name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

class Settings {
 public:
  Settings() {
    const std::string path = variable("CSP_SENTINEL_CONFIG_FILE");
    if (path.empty()) return;
    std::ifstream in(path);
    if (!in) FL_LOG_WARN("sentinel", "CSP_SENTINEL_CONFIG_FILE: {} can't be read; make it readable or unset the variable", path);
    for (std::string line; std::getline(in, line);) {
      const std::string_view text = base::trim(line);
      const std::size_t equals = text.find('=');
      if (text.empty() || text[0] == '#' || equals == std::string_view::npos) continue;
      file_.insert_or_assign(std::string(base::trim(text.substr(0, equals))), std::string(base::trim(text.substr(equals + 1))));
    }
  }

  std::string text(const std::string& property) const {
    for (const std::string& name : {property, upper(property)})
      if (std::string value = variable(name); !value.empty()) return value;
    const auto at = file_.find(property);
    return at != file_.end() ? at->second : "";
  }
  void read(const std::string& property, std::string& to) const {
    if (std::string value = text(property); !value.empty()) to = std::move(value);
  }
  void read(const std::string& property, std::vector<std::string>& to) const {
    for (const std::string_view part : base::split(text(property), ','))
      if (!base::trim(part).empty()) to.emplace_back(base::trim(part));
  }
  template <class T>
  void read(const std::string& property, T& to, long long least, long long most) const {
    const std::string value = text(property);
    if (value.empty()) return;
    const auto number = base::to_int(value);
    if (number && *number >= least && *number <= most) to = static_cast<T>(*number);
    else FL_LOG_WARN("sentinel", "{}: {} is not a number from {} to {}; the default holds", property, value, least, most);
  }

 private:
  std::map<std::string, std::string> file_;
};

}  // namespace

AgentOptions AgentOptions::from_environment() {
  const Settings settings;
  AgentOptions options;
  settings.read("project.name", options.app);
  settings.read("csp.sentinel.app.name", options.app);
  settings.read("csp.sentinel.app.type", options.app_type, 0, 1'000'000);
  settings.read("csp.sentinel.dashboard.server", options.dashboards);
  settings.read("csp.sentinel.dashboard.ca", options.dashboard_ca);
  settings.read("csp.sentinel.heartbeat.client.ip", options.heartbeat_ip);
  settings.read("csp.sentinel.heartbeat.api.path", options.heartbeat_path);
  long long interval = options.heartbeat_interval.count();
  settings.read("csp.sentinel.heartbeat.interval.ms", interval, 1, 86'400'000);
  options.heartbeat_interval = std::chrono::milliseconds(interval);
  settings.read("csp.sentinel.api.address", options.address);
  settings.read("csp.sentinel.api.port", options.port, 0, 65'535);
  settings.read("csp.sentinel.api.peers", options.peers);
  settings.read("csp.sentinel.log.dir", options.log_folder);
  options.log_name_has_pid = base::iequals(settings.text("csp.sentinel.log.use.pid"), "true");
  settings.read("csp.sentinel.metric.file.single.size", options.log_file_bytes, 1, 1LL << 40);
  settings.read("csp.sentinel.metric.file.total.count", options.log_files, 1, 100'000);
  return options;
}

}  // namespace fairlead::sentinel
