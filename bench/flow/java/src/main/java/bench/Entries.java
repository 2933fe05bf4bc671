package bench;

import com.alibaba.csp.sentinel.Entry;
import com.alibaba.csp.sentinel.SphU;
import com.alibaba.csp.sentinel.EntryType;
import com.alibaba.csp.sentinel.slots.block.BlockException;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRuleManager;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRuleManager;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** What engine_bench.cc measures, in Java: entering and leaving together, and a refused call. */
public class Entries {
    @State(Scope.Benchmark)
    public static class Rules {
        @Param({"0", "1", "5"})
        public int rules;

        @Setup
        public void load() {
            List<FlowRule> list = new ArrayList<>();
            for (int i = 0; i < rules; i++) {
                list.add(new FlowRule("orders").setCount(1e9 + i));
            }
            FlowRuleManager.loadRules(list);
        }
    }

    @State(Scope.Benchmark)
    public static class Parameter {
        final String[] names = new String[1000];

        @Setup
        public void load() {
            for (int i = 0; i < names.length; i++) {
                names[i] = "customer " + i;
            }
            ParamFlowRuleManager.loadRules(Collections.singletonList(new ParamFlowRule("customers").setParamIdx(0).setCount(1e9)));
        }
    }

    @State(Scope.Thread)
    public static class Turn {
        int next;
    }

    @State(Scope.Benchmark)
    public static class Closed {
        @Setup
        public void load() {
            FlowRuleManager.loadRules(Collections.singletonList(new FlowRule("closed").setCount(0)));
        }
    }

    @Benchmark
    public void enter_and_leave(Rules rules) throws BlockException {
        Entry entry = SphU.entry("orders");
        entry.exit();
    }

    @Benchmark
    public void enter_with_parameter(Parameter parameter, Turn turn) throws BlockException {
        String name = parameter.names[turn.next];
        turn.next = turn.next + 1 < parameter.names.length ? turn.next + 1 : 0;
        Entry entry = SphU.entry("customers", EntryType.OUT, 1, name);
        entry.exit(1, name);
    }

    @Benchmark
    public boolean refused(Closed closed) {
        try {
            SphU.entry("closed").exit();
            return true;
        } catch (BlockException blocked) {
            return false;
        }
    }
}
