"""Names of controls, against genes that resemble them."""

import pytest

from fatewalk.screen.controls import looks_like_control

CONTROLS = """NTC|NTC1|NTC-1|ntc_3|sgNTC|sgNTC_02|NTC_g1|NT|NT1|NT_05|NTctrl|NT-control|neg|NEG|neg1|negctrl
|neg_ctrl|negCtrl_12|negative_control|Negative Control 3|NegativeControl|hg38_negative_control_3
|NO_SITE|NO-SITE_12|NO_CURRENT_1|ONE_NON-GENE_SITE|ONE_NON-GENE_SITE_7|ONE_INTERGENIC_SITE
|INACTIVE_4T|safe-targeting|safe_targeting_3|Safe-harbor|safe|sgSafe|SAFE1|AAVS1|hAAVS1|AAVS1-2
|sgAAVS1|ROSA26|Rosa26|mRosa26|Gt(ROSA)26Sor|LacZ|LACZ_1|EGFP|GFP|sgGFP-1|RFP|BFP|YFP|mCherry
|tdTomato|Luciferase|Luc|fluc|Renilla|scramble|scrambled_2|scr|SCR1|shuffled|non-targeting
|nontargeting|Non-Targeting_001|non_targeting_00012|NonTargetingControlGuideForHuman_0001
|non-target|not-targeting|non-human|non-cutting|noncoding_control|ctrl|ctrl1|CTRL_0001|control
|Control_3|controls|CTRL-NTC|ctrl-inj|empty|empty_vector|random|Random1|olfactory|olfactory_ctrl
|INTERGENIC|INTERGENIC_12|unperturbed|mock|WT|wildtype"""
GENES = """
NEGR1 SCRIB NTRK1 CTRL Ctrl CNTRL GFPT1 GFPT2 RFPL1 RFPL2 SCARB1 NT5E NT5C NTN1 NTM NTS NTF3 WT1 Wt1
WTAP CTRB1 CTRC NTCP NOTO NOTCH1 Scr SAFB SAFB2 REN LUC7L LUC7L2 LUM MCHR1 CFP RAND1 OR1A1 CCR5 EMP1
NEO1 NEFL NODAL NOS1 NONO NOTUM NTHL1 NCR1 TARDBP LACTB LACRT LZTR1 Sox2 T Mesp1 INTS1 SHFL MOCS1
MOK DMD ROS1 SCRT1 SCRG1 SCRN1 YAF2 EGF BFAR NEGEX CONTACTIN VECTOR4X SCRAP EMPTX
"""


@pytest.mark.parametrize("name", CONTROLS.replace("\n", "").split("|"))
def test_a_usual_name_of_a_control(name):
    assert looks_like_control(name)


@pytest.mark.parametrize("name", GENES.split())
def test_a_gene_that_resembles_a_control(name):
    assert not looks_like_control(name)
