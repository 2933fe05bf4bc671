package replay;

import com.alibaba.csp.sentinel.adapter.gateway.common.rule.GatewayFlowRule;
import com.alibaba.csp.sentinel.adapter.gateway.common.rule.GatewayRuleManager;
import com.alibaba.csp.sentinel.slots.block.AbstractRule;
import com.alibaba.csp.sentinel.slots.block.authority.AuthorityRule;
import com.alibaba.csp.sentinel.slots.block.authority.AuthorityRuleManager;
import com.alibaba.csp.sentinel.slots.block.degrade.DegradeRule;
import com.alibaba.csp.sentinel.slots.block.degrade.DegradeRuleManager;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRuleUtil;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRuleUtil;
import com.alibaba.csp.sentinel.slots.system.SystemRule;
import com.alibaba.csp.sentinel.util.StringUtil;
import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.serializer.SerializerFeature;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.List;
import java.util.StringJoiner;
import java.util.function.Predicate;

/** For each line (a kind of rule and a list of rules): each rule as Sentinel has it after reading, or `-` if it is not valid. */
public final class Rules {
    public static void run(String from, String to) throws Exception {
        try (PrintWriter out = new PrintWriter(to, "UTF-8")) {
            for (String line : Files.readAllLines(Paths.get(from))) {
                String json = line.substring(line.indexOf(' ') + 1);
                switch (line.substring(0, line.indexOf(' '))) {
                    case "flow": print(out, JSON.parseArray(json, FlowRule.class), FlowRuleUtil::isValidRule); break;
                    case "degrade": print(out, JSON.parseArray(json, DegradeRule.class), DegradeRuleManager::isValidRule); break;
                    case "authority": print(out, JSON.parseArray(json, AuthorityRule.class), AuthorityRuleManager::isValidRule); break;
                    case "system": print(out, JSON.parseArray(json, SystemRule.class), rule -> true); break;
                    case "param": print(out, JSON.parseArray(json, ParamFlowRule.class), ParamFlowRuleUtil::isValidRule); break;
                    case "gateway": printAll(out, JSON.parseArray(json, GatewayFlowRule.class), GatewayRuleManager::isValidRule); break;
                    default: throw new IllegalArgumentException(line);
                }
            }
        }
    }

    private static <R> void printAll(PrintWriter out, List<R> rules, Predicate<R> valid) {
        StringJoiner line = new StringJoiner("\t");
        for (R rule : rules) {
            line.add(valid.test(rule) ? JSON.toJSONString(rule, SerializerFeature.MapSortField) : "-");
        }
        out.print(line + "\n");
    }

    private static <R extends AbstractRule> void print(PrintWriter out, List<R> rules, Predicate<R> valid) {
        StringBuilder line = new StringBuilder();
        for (R rule : rules) {
            if (StringUtil.isBlank(rule.getLimitApp()) && !(rule instanceof AuthorityRule) && !(rule instanceof SystemRule)) {
                rule.setLimitApp("default");
            }
            String text = valid.test(rule) ? JSON.toJSONString(rule, SerializerFeature.MapSortField) : "-";
            if (rule instanceof SystemRule) {
                text = text.replace(",\"regex\":false", "");  // of no meaning there
            }
            line.append(line.length() == 0 ? "" : "\t").append(text);
        }
        out.print(line + "\n");
    }
}
