// CustomKind: the description of a kind made from a user's CustomResourceDefinition. Private to kind_table.cc.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "api/kind_table.h"
#include "base/value.h"
#include "mesh/kinds.h"

namespace fairlead::api {

struct CustomKind {
  mesh::Kind kind;
  KindTable::ScalePaths scale;
  base::Value schema;  // openAPIV3Schema of the storage version
  // What the views in `kind` point into.
  std::deque<std::string> text;
  std::deque<mesh::Schema> schemas;
  std::deque<mesh::Field> elements;
  std::deque<std::vector<mesh::Field>> fields;
  std::deque<std::vector<std::string_view>> views;
  std::vector<mesh::Column> columns;
};

// nullptr when the definition lacks what it needs (it then did not pass validation either).
std::unique_ptr<CustomKind> make_custom_kind(const base::Value& crd);

}  // namespace fairlead::api
