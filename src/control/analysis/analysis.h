// Analysis: what `istioctl analyze` has to say about a set of resources. Pure functions over a list of objects; any thread.
// Codes, levels and sentences are Istio's (https://istio.io/latest/docs/reference/config/analysis/).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "mesh/validate.h"

namespace fairlead::control {

enum class Level : unsigned char { kInfo, kWarning, kError };
std::string_view to_string(Level level);  // "Info", "Warning", "Error"

struct Item {
  base::Value object;         // with apiVersion and kind, namespace filled in
  std::string file;           // where it was read from; "" for the cluster
  bool silent = false;        // only there to be referred to
  std::vector<base::DuplicateKey> duplicates;  // keys given twice, as the parser found them
};

struct Message {
  std::string code;           // "IST0101"
  Level level = Level::kInfo;
  std::string kind, ns, name; // the resource
  std::string file;
  uint32_t line = 0;
  std::string text;

  // "Warning [IST0103] (Pod default/foo) The pod default/foo is missing ..."
  std::string line_text() const;
  // "VirtualService default/reviews"
  std::string origin() const;
};

struct AnalysisOptions {
  std::string ns;                          // only messages about resources of this namespace; "": all
  std::string istio_ns = "istio-system";
  std::vector<std::string> suppress;       // "IST0103=Pod *.testing"
};

// Sorted as Istio prints them: errors first, then by code and resource.
std::vector<Message> analyze(const std::vector<Item>& items, const AnalysisOptions& options);

// What is looked at, and the codes that may come of it.
struct AnalyzerInfo {
  std::string_view name, what;
};
std::span<const AnalyzerInfo> analyzers();

// What was wrong with the options, e.g. an unknown code in `suppress`; "" when nothing.
std::string suppression_problem(std::string_view suppression);

}  // namespace fairlead::control
