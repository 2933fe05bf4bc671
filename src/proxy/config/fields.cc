#include "proxy/config/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace fairlead::proxy {

namespace {

std::string_view next_word(std::string_view& line) {
  size_t from = line.find_first_not_of(' ');
  if (from == std::string_view::npos) return line = {};
  size_t to = std::min(line.find(' ', from), line.size());
  std::string_view word = line.substr(from, to - from);
  line.remove_prefix(to);
  return word;
}

FieldRow parse_row(std::string_view line) {
  FieldRow row;
  row.number = static_cast<uint32_t>(base::to_int(next_word(line)).value_or(0));
  row.name = next_word(line);
  if (row.name.ends_with("[]")) row.list = true, row.name.remove_suffix(2);
  std::string_view support = next_word(line);
  if (support == "yes") {
    std::string_view arrow = next_word(line);
    row.map = arrow == "map>";
    if (!arrow.empty()) row.inside = next_word(line);
    return row;
  }
  // A word that is misspelt must not make a field pass: it is refused, and the test of the tables names the row.
  row.support = support == "warn" ? Support::kWarn : support == "note" ? Support::kNote : Support::kRefuse;
  std::string_view rest = base::trim(line);
  if (rest.starts_with("{} ")) row.empty_counts = true, rest.remove_prefix(3);
  row.reason = rest;
  return row;
}

std::vector<MessageFields> parse_tables() {
  std::vector<MessageFields> out;
  for (std::string_view text : {kBootstrapFields, kClusterFields, kCommonFields, kFlowFields, kHttpFields, kListenerFields, kRouteFields, kTlsFields}) {
    while (!text.empty()) {
      size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.empty()) continue;
      if (line[0] != ' ') out.push_back({line, {}});
      else if (!out.empty()) out.back().rows.push_back(parse_row(line));
    }
  }
  std::ranges::sort(out, {}, &MessageFields::type);
  for (MessageFields& m : out) {
    std::ranges::sort(m.rows, {}, &FieldRow::number);
    m.rows.shrink_to_fit();
  }
  out.shrink_to_fit();
  return out;
}

// The wire format (protobuf.dev, "Encoding"): tags of number << 3 | type.
struct Reader {
  std::string_view bytes;
  bool varint(uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
      auto c = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      out |= static_cast<uint64_t>(c & 127) << shift;
      if (c < 128) return true;
    }
    return false;
  }
  struct Field {
    uint32_t number = 0;
    bool has_bytes = false;
    std::string_view value;
  };
  bool next(Field& f) {
    uint64_t tag = 0, n = 0;
    if (bytes.empty() || !varint(tag)) return false;
    f.number = static_cast<uint32_t>(tag >> 3);
    f.has_bytes = false;
    f.value = {};
    switch (tag & 7) {
      case 0:
        return varint(n);
      case 1:
        return skip(8);
      case 2:
        if (!varint(n) || n > bytes.size()) return false;
        f.has_bytes = true;
        f.value = bytes.substr(0, n);
        return skip(n);
      case 5:
        return skip(4);
      default:
        return false;  // groups are not part of proto3
    }
  }
  bool skip(size_t n) {
    if (bytes.size() < n) return false;
    bytes.remove_prefix(n);
    return true;
  }
};

class Walk {
 public:
  explicit Walk(const std::function<void(const FieldProblem&)>& report) : report_(report) {}

  void message(const MessageFields& table, std::string_view bytes) {
    Reader reader{bytes};
    Reader::Field f;
    // Elements of a list follow each other, so that one counter is enough.
    uint32_t last = 0;
    int index = 0;
    while (reader.next(f)) {
      index = f.number == last ? index + 1 : 0;
      last = f.number;
      auto row = std::ranges::lower_bound(table.rows, f.number, {}, &FieldRow::number);
      if (row == table.rows.end() || row->number != f.number) {
        report_(FieldProblem{here(fmt::format("#{}", f.number)), Support::kWarn, "a field that this version does not know"});
        continue;
      }
      if (row->support != Support::kYes) {
        if (f.has_bytes && f.value.empty() && !row->empty_counts) continue;
        report_(FieldProblem{here(std::string(row->name)), row->support, row->reason});
      } else if (f.has_bytes && !row->inside.empty() && row->inside != "*") {
        inside(*row, f.value, index);
      }
    }
  }

 private:
  struct Step {
    const FieldRow* row;
    int index;              // -1: not a list
    std::string_view key;   // of a map
  };

  void inside(const FieldRow& row, std::string_view bytes, int index) {
    if (path_.size() > 100) return;  // deeper than protobuf itself would have read
    Step step{&row, row.list ? index : -1, {}};
    if (row.map) {
      Reader entry{bytes};
      Reader::Field f;
      std::string_view value;
      while (entry.next(f))
        if (f.number == 1) step.key = f.value;
        else if (f.number == 2) value = f.value;
      bytes = value;
    }
    path_.push_back(step);
    if (row.inside == "any") any(bytes);
    else if (const MessageFields* m = find_fields(row.inside)) message(*m, bytes);
    path_.pop_back();
  }

  void any(std::string_view bytes) {
    Reader reader{bytes};
    Reader::Field f;
    std::string_view type, value;
    while (reader.next(f))
      if (f.number == 1) type = f.value;
      else if (f.number == 2) value = f.value;
    // Types without a table are for the code that looks for them, which refuses what it does not know.
    if (const MessageFields* m = find_fields(type.substr(type.rfind('/') + 1))) message(*m, value);
  }

  std::string here(const std::string& name) const {
    std::string out;
    for (const Step& s : path_) {
      out += s.row->name;
      if (s.row->map) out += fmt::format(".\"{}\"", s.key);
      else if (s.index >= 0) out += fmt::format("[{}]", s.index);
      out += '.';
    }
    return out + name;
  }

  const std::function<void(const FieldProblem&)>& report_;
  std::vector<Step> path_;
};

}  // namespace

const std::vector<MessageFields>& field_tables() {
  static const std::vector<MessageFields> tables = parse_tables();
  return tables;
}

const MessageFields* find_fields(std::string_view type) {
  const auto& all = field_tables();
  auto at = std::ranges::lower_bound(all, type, {}, &MessageFields::type);
  return at == all.end() || at->type != type ? nullptr : &*at;
}

void check_fields(std::string_view type, std::string_view bytes, const std::function<void(const FieldProblem&)>& report) {
  if (const MessageFields* table = find_fields(type)) Walk(report).message(*table, bytes);
}

}  // namespace fairlead::proxy
