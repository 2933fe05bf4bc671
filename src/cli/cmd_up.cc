// `fairlead up`, `down`, `status`, `logs`: the mesh on this machine.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/value.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/state_folder.h"
#include "http/client.h"
#include "io/tls.h"
#include "mesh/validate.h"
#include "node/agent/host_agent.h"
#include "node/node.h"
#include "sample/sample.h"
#include "store/kubeconfig.h"

namespace fairlead::cli {
namespace {

using base::Value;
using Clock = std::chrono::steady_clock;

constexpr const char* kDefaultName = "fairlead";

struct MeshOptions {
  std::string name = kDefaultName;
  std::string data_dir;
  std::string kubeconfig;

  void add_to(CLI::App& app) {
    app.add_option("--name", name, "name of the mesh; several may run side by side")->capture_default_str();
    app.add_option("--data-dir", data_dir, "where its state lives (default: " + state_folder("NAME") + ")");
    app.add_option("--kubeconfig", kubeconfig, "the kubeconfig that gets the mesh's context (default: as kubectl)");
  }
  // False after a complaint.
  bool settle() {
    auto fine = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
    if (name.empty() || name.size() > 40 || name.front() == '-' || !std::all_of(name.begin(), name.end(), fine)) {
      std::fprintf(stderr, "fairlead: --name \"%s\": small letters, digits and '-', at most 40\n", name.c_str());
      return false;
    }
    if (data_dir.empty()) data_dir = state_folder(name);
    std::error_code ignored;
    data_dir = std::filesystem::absolute(data_dir, ignored).lexically_normal().string();
    while (data_dir.size() > 1 && data_dir.ends_with('/')) data_dir.pop_back();
    return true;
  }
  std::string context() const { return name == kDefaultName ? name : std::string(kDefaultName) + "-" + name; }
};

int complain(const std::string& text) {
  std::fprintf(stderr, "fairlead: %s\n", text.c_str());
  return 1;
}

bool spill(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.flush();
  ::chmod(path.c_str(), 0600);
  return out.good();
}

// The lock of a running mesh; not valid when somebody holds it.
io::Fd try_lock(const std::string& path) {
  io::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
  return fd;
}

io::Fd lock_within(const std::string& path, std::chrono::milliseconds wait) {
  auto deadline = Clock::now() + wait;
  for (;;) {
    io::Fd fd = try_lock(path);
    if (fd.valid() || Clock::now() >= deadline) return fd;
    ::usleep(20000);
  }
}

base::Status make_folder(const std::string& path, mode_t mode) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at);
    std::string part = path.substr(0, at);
    bool last = at == std::string::npos;
    if (::mkdir(part.c_str(), last ? mode : 0755) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES) return base::fail_errno("make " + part);
    if (at != std::string::npos) ++at;
  }
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return base::fail(base::Code::kFailedPrecondition, "cannot use {} as data folder ({}); --data-dir names another", path, std::strerror(errno));
  return {};
}

base::Result<io::Fd> listen_for_api(uint16_t port) {
  auto at = io::Address::parse_ip("127.0.0.1", port);
  for (int attempt = 0;; ++attempt) {
    auto fd = io::listen(*at);
    if (fd) return fd;
    // What a mesh that was just killed held is free again in a moment.
    if (attempt < 25 && fd.error().message.find("in use") != std::string::npos) {
      ::usleep(20000);
      continue;
    }
    if (fd.error().message.find("denied") != std::string::npos)
      return base::fail(base::Code::kFailedPrecondition,
                        "cannot listen on 127.0.0.1:{} for the API server ({}). Ports below 1024 need root; choose another: fairlead up --port 6443", port, fd.error().message);
    return base::fail(base::Code::kFailedPrecondition,
                      "cannot listen on 127.0.0.1:{} for the API server ({}). See who has it: ss -ltnp 'sport = :{}'. Or choose another: fairlead up --port {}", port,
                      fd.error().message, port, port + 1);
  }
}

// A mesh with a name of its own stands beside others: it takes the first port that is free, and keeps it.
base::Result<io::Fd> listen_beside_others(uint16_t first) {
  for (uint16_t port = first; port < first + 100; ++port)
    if (auto fd = io::listen(*io::Address::parse_ip("127.0.0.1", port))) return fd;
  return listen_for_api(first);
}

// The binary, by a path that lasts.
std::string own_path() {
  char path[4096];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : "/usr/local/bin/fairlead";
}

// Starts the agent in the background with its descriptors in place; returns the end of the report pipe.
base::Result<io::Fd> start_agent(const node::AgentConfig& config, io::Fd lock, io::Fd node_lock, io::Fd api) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return base::fail_errno("pipe");
  io::Fd read(report[0]), write(report[1]);
  std::string text = node::to_value(config).dump();
  io::Fd memory(::memfd_create("config", MFD_CLOEXEC));
  if (::write(memory.get(), text.data(), text.size()) < 0) return base::fail_errno("write the configuration");
  std::string log_path = config.data_dir + "/logs/agent.log";
  io::Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  io::Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!log.valid()) return base::fail_errno("open " + log_path);
  pid_t pid = ::fork();
  if (pid < 0) return base::fail_errno("fork");
  if (pid == 0) {
    if (::fork() != 0) ::_exit(0);  // the agent is nobody's child: it outlives the terminal
    ::setsid();
    const int from[] = {null.get(), log.get(), log.get(), memory.get(), lock.get(), node_lock.get(), api.get(), write.get()};
    int high[std::size(from)];
    for (size_t i = 0; i < std::size(from); ++i) high[i] = ::fcntl(from[i], F_DUPFD_CLOEXEC, 100);
    for (size_t i = 0; i < std::size(from); ++i) ::dup2(high[i], static_cast<int>(i));
    ::syscall(SYS_close_range, static_cast<unsigned>(std::size(from)), 99u, 0u);
    if (::chdir("/") != 0) ::_exit(1);
    ::umask(0022);
    ::execl("/proc/self/exe", "fairlead", "agent", config.name.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::waitpid(pid, nullptr, 0);
  return read;
}

volatile std::sig_atomic_t interrupted = 0;
extern "C" void on_interrupt(int) { interrupted = 1; }

// Prints the agent's lines until ready or failed; exit code.
int follow_start(io::Fd report, const MeshOptions& mesh, Clock::time_point began) {
  auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  std::string text;
  pollfd p{report.get(), POLLIN, 0};
  for (;;) {
    if (interrupted) {
      std::fprintf(stderr, "\nfairlead: interrupted; ending what was started\n");
      (void)node::ask_agent(mesh.data_dir, "down", 15);
      return 130;
    }
    if (::poll(&p, 1, 500) <= 0) continue;
    char buffer[4096];
    ssize_t n = ::read(report.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return complain("the mesh ended while starting; " + mesh.data_dir + "/logs/agent.log and node.log say why");
    text.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      auto v = base::parse_json(std::string_view(text).substr(0, end));
      if (!v) continue;
      const std::string& event = (*v)["event"].as_string();
      if (event == "progress") std::printf("  %5.1fs  %s\n", elapsed(), (*v)["message"].as_string().c_str());
      std::fflush(stdout);
      if (event == "ready") return 0;
      if (event == "failed") {
        complain((*v)["message"].as_string());
        // What did not become ready can be looked at as long as the node runs.
        ::usleep(200000);
        std::string name = mesh.name == kDefaultName ? "" : " --name " + mesh.name;
        if (node::ask_agent(mesh.data_dir, "status", 2))
          std::fprintf(stderr, "  It is left running to be looked at: kubectl get pods -A; fairlead logs%s; fairlead down%s ends it.\n", name.c_str(),
                       name.c_str());
        return 1;
      }
    }
  }
}

bool is_empty_kubeconfig(const std::string& path) {
  auto documents = base::parse_yaml(base::read_file(path).value_or(""), path);
  if (!documents) return false;
  for (auto& d : *documents)
    if (!d["clusters"].empty() || !d["users"].empty() || !d["contexts"].empty()) return false;
  return true;
}

// ---- processes and memory

struct ProcessInfo {
  pid_t parent = 0;
  std::string name;
};

std::map<pid_t, ProcessInfo> processes() {
  std::map<pid_t, ProcessInfo> out;
  std::error_code ignored;
  for (auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    std::string stat = base::read_file(entry.path().string() + "/stat").value_or("");
    size_t open = stat.find('('), close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    int parent = 0;
    std::sscanf(stat.c_str() + close + 1, " %*c %d", &parent);
    out[pid] = {parent, stat.substr(open + 1, close - open - 1)};
  }
  return out;
}

// Proportional set size in KiB: shared pages count for each sharer's part.
long pss_kib(pid_t pid) {
  std::istringstream in(base::read_file("/proc/" + std::to_string(pid) + "/smaps_rollup").value_or(""));
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("Pss:")) return std::atol(line.c_str() + 4);
  return 0;
}

std::string mib(long kib) { return fmt::format("{:.1f} MiB", static_cast<double>(kib) / 1024); }

base::Result<Value> api_get(const std::string& data_dir, int port, const std::string& path) {
  io::TlsOptions tls;
  tls.certificate_pem = base::read_file(data_dir + "/pki/admin.crt").value_or("");
  tls.key_pem = base::read_file(data_dir + "/pki/admin.key").value_or("");
  tls.ca_pem = base::read_file(data_dir + "/pki/ca.crt").value_or("");
  auto context = io::TlsContext::client(tls);
  if (!context) return std::unexpected(context.error());
  http::ClientOptions options;
  options.tls = *context;
  auto response = http::fetch_blocking("GET", fmt::format("https://127.0.0.1:{}{}", port, path), {}, "", std::chrono::seconds(5), options);
  if (!response) return std::unexpected(response.error());
  return base::parse_json(response->body);
}

}  // namespace

int cmd_up(int argc, char** argv) {
  auto began = Clock::now();
  CLI::App app{"Starts a service mesh on this machine and returns when it is ready.", "fairlead up"};
  MeshOptions mesh;
  mesh.add_to(app);
  std::string profile;
  bool rootful = false, rootless = false;
  std::vector<std::string> outside;
  int port = -1;
  app.add_option("--profile", profile, "what to install in istio-system: demo (default), default, minimal")->check(CLI::IsMember({"demo", "default", "minimal"}));
  auto* full = app.add_flag("--rootful", rootful, "map all of root's user ids into the mesh (default for root)");
  app.add_flag("--rootless", rootless, "one user id inside (default for everybody else)")->excludes(full);
  app.add_option("--outside", outside, "HOST=SAMPLE: a host beyond the mesh, played by a sample (httpbin.org=httpbin)");
  app.add_option("--port,--api-port", port, "port of the API server on 127.0.0.1 (default 6443, for a mesh with a --name the first free one from there; 0: any free one)")->check(CLI::Range(0, 65535));
  std::vector<std::string> with;
  int console_port = -1;
  app.add_option("--with", with, "more beside the mesh: console (flow control)")->check(CLI::IsMember({"console"}));
  app.add_option("--console-port", console_port, "port of the console on 127.0.0.1, and for pods on 10.244.0.1 (default 8080)")->check(CLI::Range(1, 65535));
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (!mesh.settle()) return 1;
  if (console_port > 0 && with.empty()) with = {"console"};
  if (rootful && ::geteuid() != 0) return complain("--rootful needs root: sudo fairlead up --rootful, or leave the flag away");

  // Secrets and keys are in it.
  if (auto ok = make_folder(mesh.data_dir, 0700); !ok) return complain(ok.error().message);
  io::Fd lock = try_lock(mesh.data_dir + "/lock");
  if (!lock.valid()) {
    if (errno != EWOULDBLOCK && errno != 0 && errno != EAGAIN) return complain("cannot lock " + mesh.data_dir + "/lock: " + std::strerror(errno));
    return complain(fmt::format("the mesh \"{0}\" is running already. fairlead status{1} shows it, fairlead down{1} ends it; --name starts another beside it", mesh.name,
                                mesh.name == kDefaultName ? "" : " --name " + mesh.name));
  }
  // Held by the node: after a kill -9 of the agent the kernel needs a moment to end everything else.
  io::Fd node_lock = lock_within(mesh.data_dir + "/node.lock", std::chrono::seconds(5));
  if (!node_lock.valid()) return complain("a node of this mesh is still ending; try again in a few seconds");

  struct statvfs disk;
  constexpr uint64_t kWanted = 32ull << 20;
  if (::statvfs(mesh.data_dir.c_str(), &disk) == 0 && static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize < kWanted)
    return complain(fmt::format("the disk of {} is full: {} MiB are free, at least {} are needed. Free some, or choose another place with --data-dir", mesh.data_dir,
                                static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize >> 20, kWanted >> 20));

  node::AgentConfig config;
  // What an earlier up of this mesh was told holds until something else is said.
  std::string config_path = mesh.data_dir + "/config.json";
  auto old = base::parse_json(base::read_file(config_path).value_or(""));
  if (old) config = node::agent_config_from_value(*old);
  config.name = mesh.name;
  config.data_dir = mesh.data_dir;
  config.executable = own_path();
  config.rootful = ::geteuid() == 0 && !rootless;
  if (!profile.empty() || config.profile.empty()) config.profile = profile.empty() ? "demo" : profile;
  if (port >= 0) config.api_port = static_cast<uint16_t>(port);
  if (!with.empty()) config.console_port = static_cast<uint16_t>(console_port > 0 ? console_port : 8080);
  if (!outside.empty()) config.outside.clear();
  for (auto& o : outside) {
    size_t equals = o.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == o.size()) return complain("--outside " + o + ": HOST=SAMPLE is wanted, such as httpbin.org=httpbin");
    std::string host = o.substr(0, equals), played_by = o.substr(equals + 1);
    if (const char* wrong = mesh::dns1123_subdomain_error(host)) return complain(fmt::format("--outside {}: \"{}\" is no host name: {}", o, host, wrong));
    if (auto known = sample::check_name(played_by); !known) return complain(fmt::format("--outside {}: {}", o, known.error().message));
    for (auto& [other, ignored] : config.outside)
      if (other == host) return complain(fmt::format("--outside {}: {} is given twice", o, host));
    config.outside.emplace_back(std::move(host), std::move(played_by));
  }

  for (const char* dir : {"/pods", "/logs"})
    if (auto ok = make_folder(mesh.data_dir + dir, 0755); !ok) return complain(ok.error().message);
  auto api = port < 0 && !old && mesh.name != kDefaultName ? listen_beside_others(config.api_port) : listen_for_api(config.api_port);
  if (!api) return complain(api.error().message);
  if (auto at = io::local_address(api->get())) config.api_port = at->port();
  auto pki = node::ensure_pki(mesh.data_dir);
  if (!pki) return complain(pki.error().text());
  if (!spill(config_path, node::to_value(config).dump(2) + "\n")) return complain("cannot write " + config_path + ": " + std::strerror(errno));

  store::KubeContext kube;
  kube.server = fmt::format("https://127.0.0.1:{}", config.api_port);
  kube.ca_pem = pki->ca_certificate;
  kube.client_cert_pem = pki->admin_certificate;
  kube.client_key_pem = pki->admin_key;
  std::string kubeconfig = store::default_kubeconfig_path(mesh.kubeconfig);
  // What `down` needs to know: where the context went, and whether the file is ours.
  std::string record_path = mesh.data_dir + "/kubeconfig.json";
  auto record = base::parse_json(base::read_file(record_path).value_or(""));
  bool ours = ::access(kubeconfig.c_str(), F_OK) != 0 || (record && (*record)["path"].as_string() == kubeconfig && (*record)["created"].as_bool());
  spill(record_path, Value::object({{"path", kubeconfig}, {"created", ours}}).dump());
  (void)store::merge_context(mesh.data_dir + "/kubeconfig", mesh.context(), kube);

  std::printf("Starting mesh \"%s\" (profile %s, %s) in %s\n", mesh.name.c_str(), config.profile.c_str(), config.rootful ? "rootful" : "rootless", mesh.data_dir.c_str());
  std::fflush(stdout);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  auto report = start_agent(config, std::move(lock), std::move(node_lock), std::move(*api));
  if (!report) return complain(report.error().text());
  int code = follow_start(std::move(*report), mesh, began);
  if (code != 0 && !node::ask_agent(mesh.data_dir, "status", 2)) return code;

  bool merged = false;
  if (!kubeconfig.empty()) {
    auto ok = store::merge_context(kubeconfig, mesh.context(), kube);
    if (!ok)
      std::fprintf(stderr, "fairlead: the context was not added to %s: %s\n  kubectl --kubeconfig %s/kubeconfig works\n", kubeconfig.c_str(), ok.error().text().c_str(),
                   mesh.data_dir.c_str());
    else
      std::printf("  kubectl context \"%s\" in %s\n", mesh.context().c_str(), kubeconfig.c_str());
    merged = ok.has_value();
  }
  if (code != 0) return code;
  if (config.console_port != 0) std::printf("  console http://127.0.0.1:%u, for pods http://%s:%u\n", config.console_port, node::kNodeIp, config.console_port);
  std::printf("Ready in %.1fs. Try: kubectl %sget pods -A\n", std::chrono::duration<double>(Clock::now() - began).count(),
              merged ? "" : ("--kubeconfig " + mesh.data_dir + "/kubeconfig ").c_str());
  return 0;
}

int cmd_down(int argc, char** argv) {
  CLI::App app{"Ends a mesh; its objects are kept for the next up unless --purge is given.", "fairlead down"};
  MeshOptions mesh;
  mesh.add_to(app);
  bool purge = false;
  app.add_flag("--purge", purge, "remove its state too");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (!mesh.settle()) return 1;
  struct stat st;
  if (::stat(mesh.data_dir.c_str(), &st) != 0) {
    std::printf("There is no mesh \"%s\" (%s does not exist).\n", mesh.name.c_str(), mesh.data_dir.c_str());
    return 0;
  }
  bool ran = !try_lock(mesh.data_dir + "/lock").valid();
  if (ran) {
    auto answer = node::ask_agent(mesh.data_dir, "down", 20);
    if (!lock_within(mesh.data_dir + "/lock", std::chrono::seconds(5)).valid())
      return complain("the mesh's agent does not end" + (answer ? std::string() : " (" + answer.error().message + ")") + "; its process: fuser " + mesh.data_dir + "/lock");
  }
  if (!lock_within(mesh.data_dir + "/node.lock", std::chrono::seconds(10)).valid())
    return complain("the node does not end; its processes: fuser " + mesh.data_dir + "/node.lock");
  ::unlink((mesh.data_dir + "/control.sock").c_str());

  auto record = base::parse_json(base::read_file(mesh.data_dir + "/kubeconfig.json").value_or(""));
  std::string kubeconfig = !mesh.kubeconfig.empty() ? mesh.kubeconfig : record ? (*record)["path"].as_string() : "";
  if (!kubeconfig.empty()) {
    if (auto ok = store::remove_context(kubeconfig, mesh.context()); !ok) std::fprintf(stderr, "fairlead: %s\n", ok.error().text().c_str());
    if (record && (*record)["created"].as_bool() && (*record)["path"].as_string() == kubeconfig && is_empty_kubeconfig(kubeconfig)) {
      ::unlink(kubeconfig.c_str());
      if (auto folder = std::filesystem::path(kubeconfig).parent_path(); folder.filename() == ".kube") ::rmdir(folder.c_str());  // stays when anything is in it
    }
  }
  if (purge) {
    // Only what is ours: somebody may have named a folder with other things in it.
    std::error_code error;
    for (const char* name : {"pods", "logs", "pki", "outside", "console", "state.db", "state.db-wal", "state.db-shm", "config.json", "kubeconfig", "kubeconfig.json", "control.sock", "node.lock", "lock"})
      std::filesystem::remove_all(mesh.data_dir + "/" + name, error);
    std::filesystem::remove(mesh.data_dir, error);
    auto parent = std::filesystem::path(mesh.data_dir).parent_path();
    if (!error && parent.filename() == "fairlead") std::filesystem::remove(parent, error);  // refused when there is another mesh
  }
  std::printf("Mesh \"%s\" %s%s.\n", mesh.name.c_str(), ran ? "ended" : "was not running", purge ? ", its state is removed" : "");
  return 0;
}

int cmd_status(int argc, char** argv) {
  CLI::App app{"Shows a mesh's parts, pods, memory and ports.", "fairlead status"};
  MeshOptions mesh;
  mesh.add_to(app);
  std::string output;
  app.add_option("-o,--output", output, "json")->check(CLI::IsMember({"json"}));
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (!mesh.settle()) return 1;
  struct stat st;
  if (::stat(mesh.data_dir.c_str(), &st) != 0) {
    std::printf("There is no mesh \"%s\". fairlead up starts one.\n", mesh.name.c_str());
    return 3;
  }
  auto status = node::ask_agent(mesh.data_dir, "status", 5);
  if (!status) {
    std::printf("Mesh \"%s\" is not running (state in %s). fairlead up starts it.\n", mesh.name.c_str(), mesh.data_dir.c_str());
    return 3;
  }
  int port = static_cast<int>((*status)["port"].as_int());
  pid_t agent = static_cast<pid_t>((*status)["agentPid"].as_int());

  // Memory by the kind of process: everything below the agent.
  auto all = processes();
  std::map<std::string, std::pair<int, long>> memory;
  long total = 0;
  for (auto& [pid, info] : all) {
    pid_t up = pid;
    for (int depth = 0; up > 1 && up != agent && depth < 64; ++depth) up = all.contains(up) ? all[up].parent : 0;
    if (up != agent) continue;
    long kib = pss_kib(pid);
    auto& row = memory[pid == agent ? "host agent" : info.name];
    ++row.first;
    row.second += kib;
    total += kib;
  }
  auto pods = api_get(mesh.data_dir, port, "/api/v1/pods");
  auto services = api_get(mesh.data_dir, port, "/api/v1/services");
  if (output == "json") {
    Value v = *status;
    v.set("pssKiB", total);
    v.set("pods", pods ? static_cast<int64_t>((*pods)["items"].size()) : -1);
    std::printf("%s\n", v.dump(2).c_str());
    return (*status)["state"].as_string() == "ready" ? 0 : 1;
  }
  std::printf("Mesh       %s (profile %s, %s)\n", mesh.name.c_str(), (*status)["profile"].as_string().c_str(), (*status)["rootful"].as_bool() ? "rootful" : "rootless");
  std::printf("State      %s, up %s\n", (*status)["state"].as_string().c_str(), base::human_age(std::chrono::seconds((*status)["upSeconds"].as_int())).c_str());
  if (!(*status)["failure"].as_string().empty()) std::printf("Failure    %s\n", (*status)["failure"].as_string().c_str());
  std::printf("Data       %s\n", mesh.data_dir.c_str());
  std::printf("API        https://127.0.0.1:%d\n", port);
  if (services) {
    for (auto& s : (*services)["items"].items())
      for (auto& p : s["spec"]["ports"].items())
        if (p["nodePort"].as_int() > 0)
          std::printf("Port       127.0.0.1:%-5lld -> %s/%s:%lld %s\n", static_cast<long long>(p["nodePort"].as_int()), s["metadata"]["namespace"].as_string().c_str(),
                      s["metadata"]["name"].as_string().c_str(), static_cast<long long>(p["port"].as_int()), p["name"].as_string().c_str());
  }
  if (services)
    for (auto& s : (*services)["items"].items())
      if (const std::string& ip = s["status"]["loadBalancer"]["ingress"][0]["ip"].as_string(); !ip.empty())
        std::printf("Balancer   %-15s -> %s/%s, its own ports\n", ip.c_str(), s["metadata"]["namespace"].as_string().c_str(), s["metadata"]["name"].as_string().c_str());
  std::printf("Memory     %s (PSS)\n", mib(total).c_str());
  for (auto& [name, row] : memory) std::printf("             %-18s x%-3d %s\n", name.c_str(), row.first, mib(row.second).c_str());
  if (!pods) {
    std::printf("Pods       the API server does not answer: %s\n", pods.error().text().c_str());
    return 1;
  }
  std::printf("Pods       %zu\n", (*pods)["items"].size());
  for (auto& pod : (*pods)["items"].items()) {
    size_t ready = 0, count = pod["spec"]["containers"].size();
    int64_t restarts = 0;
    for (auto& c : pod["status"]["containerStatuses"].items()) {
      ready += c["ready"].as_bool();
      restarts += c["restartCount"].as_int();
    }
    std::printf("             %-14s %-48s %zu/%zu %-10s restarts %lld\n", pod["metadata"]["namespace"].as_string().c_str(), pod["metadata"]["name"].as_string().c_str(), ready,
                count, pod["status"]["phase"].as_string().c_str(), static_cast<long long>(restarts));
  }
  return (*status)["state"].as_string() == "ready" ? 0 : 1;
}

int cmd_logs(int argc, char** argv) {
  CLI::App app{"Prints the log of a mesh's own processes (pods: kubectl logs).", "fairlead logs"};
  MeshOptions mesh;
  mesh.add_to(app);
  std::string part = "node";
  bool follow = false, previous = false;
  app.add_option("PART", part, "node (API server, controllers, pods, network) or agent")->check(CLI::IsMember({"node", "agent"}))->capture_default_str();
  app.add_flag("-f,--follow", follow, "go on with what is written");
  app.add_flag("-p,--previous", previous, "of the run before this one");
  if (int code = parse_flags(app, argc, argv); code >= 0) return code;
  if (!mesh.settle()) return 1;
  std::string path = mesh.data_dir + "/logs/" + part + ".log" + (previous ? ".old" : "");
  io::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return complain("no log at " + path + ": " + std::strerror(errno));
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0) return complain("read " + path + ": " + std::strerror(errno));
    if (n > 0) {
      if (std::fwrite(buffer, 1, static_cast<size_t>(n), stdout) != static_cast<size_t>(n)) return 1;
      continue;
    }
    if (!follow) return 0;
    std::fflush(stdout);
    ::usleep(200000);
  }
}

}  // namespace fairlead::cli
