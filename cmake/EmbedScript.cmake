# Writes OUT: `const char* embedded_PREFIX(std::string_view name)` over FILES (text), by file name without folder.
set(body "#include <string_view>\n\nnamespace fairlead {\nconst char* embedded_${PREFIX}(std::string_view name);\n")
string(APPEND body "const char* embedded_${PREFIX}(std::string_view name) {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  # Brackets and semicolons are special in CMake lists, not in plain strings: no list operation touches `text`.
  string(APPEND body "  if (name == \"${name}\") return R\"fairlead(${text})fairlead\";\n")
endforeach()
string(APPEND body "  return nullptr;\n}\n}  // namespace fairlead\n")
file(WRITE ${OUT} "${body}")
