# fairlead_embed(TARGET PREFIX file...): the text files become part of TARGET; its code reads them by file name with
#   namespace fairlead { const char* embedded_PREFIX(std::string_view name); }  // nullptr when there is none
function(fairlead_embed target prefix)
  set(out ${CMAKE_BINARY_DIR}/generated/embed_${prefix}.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DPREFIX=${prefix} "-DFILES=${ARGN}" -P ${CMAKE_SOURCE_DIR}/cmake/EmbedScript.cmake
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/EmbedScript.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
