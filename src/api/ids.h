// Uids, generated names and the time as objects carry it. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::api {

std::string new_uid();                                // RFC 4122 version 4
std::string random_suffix(size_t length);             // letters and digits that form no words: bcdfghjklmnpqrstvwxz2456789
std::string generated_name(std::string_view prefix);  // generateName: the prefix cut to 58, five letters
std::string now_text();                               // 2024-05-01T10:20:30Z

}  // namespace fairlead::api
