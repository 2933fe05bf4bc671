// Selectors: labelSelector and fieldSelector strings of the API, matchLabels/matchExpressions of resources.
// Values; any thread. Source: Kubernetes' labels.Parse, fields.ParseSelector, metav1.LabelSelector.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace fairlead::mesh {

class LabelSelector {
 public:
  enum class Op : unsigned char { kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
  struct Requirement {
    std::string key;
    Op op;
    std::vector<std::string> values;
  };
  // "app=x,tier!=y,env in (a,b),!canary,partition"; "" matches everything. InvalidArgument with Kubernetes' sentence.
  static base::Result<LabelSelector> parse(std::string_view text);
  // A metav1.LabelSelector ({matchLabels, matchExpressions}); {} matches everything, null matches nothing.
  static base::Result<LabelSelector> from_object(const base::Value& selector);
  // A plain map (Service spec.selector, workloadSelector.labels); empty matches everything.
  static LabelSelector from_map(const base::Value& labels);

  bool matches(const base::Value& labels) const;  // metadata.labels; null is no labels
  bool empty() const { return requirements_.empty() && !nothing_; }
  std::string text() const;                       // as kubectl prints it ("app=x,env in (a,b)")
  const std::vector<Requirement>& requirements() const { return requirements_; }

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

class FieldSelector {
 public:
  // "metadata.name=x,status.phase!=Running". Which fields are allowed is up to the caller.
  static base::Result<FieldSelector> parse(std::string_view text);
  struct Term {
    std::string path, value;
    bool equal;
  };
  bool matches(const base::Value& object) const;  // a missing field is ""
  bool empty() const { return terms_.empty(); }
  const std::vector<Term>& terms() const { return terms_; }

 private:
  std::vector<Term> terms_;
};

}  // namespace fairlead::mesh
