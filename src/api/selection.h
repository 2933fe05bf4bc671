// Selection: the labelSelector and fieldSelector of a list, watch or deletecollection. Loop thread; a value.
#pragma once

#include "api/request.h"
#include "mesh/selector.h"

namespace fairlead::api {

struct Selection {
  mesh::LabelSelector labels;
  mesh::FieldSelector fields;
  bool everything() const { return labels.empty() && fields.empty(); }
  bool matches(const base::Value& object) const;
};

// 400 for what does not parse or a field that cannot be selected by.
Outcome<Selection> parse_selection(const Request& request);

}  // namespace fairlead::api
